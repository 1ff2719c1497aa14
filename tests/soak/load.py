"""Everything at once: a storm, with workers, writers, readers, a backfill, vacuum and dumps around it, for as long
as one likes.

At the end every point must have been processed exactly once, and the paths must be those of one quiet
worker that had all points from the start.
"""

import itertools
import random
import threading
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone

from harness import env
from harness.route import moved
from storm.gate import Gate
from storm.plan import draw, switched_on
from storm.scene import Scene, insert, route
from storm.steps import Storm
from storm.trial import judge

WORKERS = 4
WRITERS = 3
READERS = 2
ROUTES = 6
DRIVE = 1200  # seconds that a drive lasts
REPORT = 30
LONGEST_CALL = 4  # seconds; there is always work, so calls of the storm take all their time

# Notes each time that a point becomes processed, or is made unprocessed by a correction.
COUNT_MARKS = """
    CREATE TABLE marks (point bigint, change integer);
    CREATE FUNCTION count_marks() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO marks VALUES (new.id, CASE WHEN new.processed THEN 1 ELSE -1 END); RETURN NULL; END $$;
    CREATE TRIGGER count_marks AFTER UPDATE ON gps_coordinates
        FOR EACH ROW WHEN (new.processed <> old.processed) EXECUTE FUNCTION count_marks()"""
NOT_ONCE = """
    SELECT count(*) FROM (SELECT FROM gps_coordinates p LEFT JOIN marks m ON m.point = p.id
                           GROUP BY p.id HAVING coalesce(sum(m.change), 0) <> 1) AS wrong"""


class Soak:
    def __init__(self, cluster, template, osrm, faults, seconds, seed=1, say=lambda line: None):
        self.seconds = seconds
        self.say = say
        self.counts = {}
        self.slowest = {}
        self.failures = []
        self._seed = seed
        self._osrm = osrm
        self._faults = faults
        self._scene = Scene(cluster, template, osrm, f"soak_{seed}")
        self._db = None
        self._gate = Gate()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._reported = self._begun = time.monotonic()

    def run(self):
        """Puts the load on, takes it off, and returns what is wrong; nothing, if all is well."""
        settings = draw(self._seed, {"calm"}).settings
        with self._scene as scene:
            self._faults.calm()
            self._db = scene.database("loud", {"osrm_url": self._faults.url, **settings})
            self._db.rows(COUNT_MARKS)
            tasks = [(self._work, n) for n in range(WORKERS)] + [(self._write, n) for n in range(WRITERS)]
            tasks += [(self._read, n) for n in range(READERS)]
            tasks += [(self._backfill, 0), (self._vacuum, 0), (self._dump, 0)]
            threads = [threading.Thread(target=self._guard, args=task) for task in tasks]
            for thread in threads:
                thread.start()
            try:
                storm = self._storm()
            finally:
                self._stop.set()
                for thread in threads:
                    thread.join(120)
            if not self.failures:
                storm.settle()
            return self.failures or self._judge(settings)

    def _storm(self):
        """One plan after the other, each with a fleet of its own; returns the last storm."""
        log_path = env.LOGS / "soak-steps.log"
        env.LOGS.mkdir(parents=True, exist_ok=True)
        with log_path.open("w", buffering=1) as log:
            for number in itertools.count():
                plan = draw(self._seed + number, switched_on(), number=number)
                log.write(f"seed {plan.seed}, fleet {number}\n")
                storm = Storm(plan, self._scene, self._db, self._faults, self._osrm,
                              lambda line: log.write(line + "\n"), self._gate, LONGEST_CALL)
                storm.failures = self.failures
                try:
                    for step in range(len(plan.steps)):
                        storm.take(step)
                        self._note("steps", 1, 0)
                        if self.failures or time.monotonic() - self._begun > self.seconds:
                            return storm
                finally:
                    storm.give_up()

    def _note(self, name, count, took):
        """Counts what was done, and says so from time to time."""
        now = time.monotonic()
        with self._lock:
            self.counts[name] = self.counts.get(name, 0) + count
            self.slowest[name] = max(self.slowest.get(name, 0), took)
            if now - self._reported > REPORT:
                self._reported = now
                self.say(f"{now - self._begun:4.0f} s: {self.counts}")

    def _guard(self, task, number):
        """Repeats a task, which says what it did, how much of it, and how long to pause."""
        try:
            chance = random.Random(f"{task.__name__}{number}")
            while not self._stop.is_set():
                with closing(self._db.connect()) as connection:
                    begin = time.monotonic()
                    name, count, pause = task(connection.cursor(), number, chance)
                    self._note(name, count, time.monotonic() - begin)
                self._stop.wait(pause)
        except Exception as error:  # whatever it is, the soak has failed
            with self._lock:
                self.failures.append(f"{task.__name__}: {error!r}")
            self._stop.set()

    def _work(self, cursor, number, chance):
        with self._gate.passed():
            if chance.random() < 0.3:
                cursor.execute("SELECT * FROM process_pending_gps(%s)", (chance.randint(1, 40),))
            else:
                cursor.execute("CALL process_pending(%s, %s)", (chance.randint(1, 4), chance.randint(1, 60)))
        return "runs", 1, chance.uniform(0, 0.5)

    def _fixes(self, device, chance, base, seconds):
        """Rows of a drive that ends at `base`."""
        way = route(self._osrm, chance.randrange(ROUTES))
        return [{"device": device, "accuracy": None, "time": base - timedelta(seconds=DRIVE - second),
                 **dict(zip(("longitude", "latitude"),
                            moved(way.at(second % DRIVE), chance.gauss(0, 4), chance.gauss(0, 4))))}
                for second in seconds]

    def _write(self, cursor, number, chance):
        """A piece of some drive, most of it recent, some of it late, twice or out of order."""
        base = datetime.now(timezone.utc) - timedelta(hours=chance.choice([0, 0, 0, 1, 3, 20]))
        first = chance.randrange(0, DRIVE - 60)
        fixes = self._fixes(f"car-{number}-{chance.randrange(12)}", chance, base,
                            range(first, first + chance.randint(5, 120), chance.choice([1, 3, 5, 10])))
        if chance.random() < 0.3:
            chance.shuffle(fixes)
        if chance.random() < 0.1:
            fixes *= 2
        insert(cursor, "gps_coordinates", fixes)
        return "points", len(fixes), chance.uniform(0, 0.2)

    def _read(self, cursor, number, chance):
        device = f"car-{chance.randrange(WRITERS)}-{chance.randrange(12)}"
        cursor.execute(chance.choice([
            "SELECT count(*) FROM get_device_paths(%s)",
            "SELECT length(get_device_page(%s, tail => true)::text)",
            "SELECT count(*) FROM get_path_points(%s, now() - interval '1 hour', now())",
            "SELECT count(*) FROM get_device_tail(%s)",
        ]), (device,))
        return "reads", 1, 0.02

    def _backfill(self, cursor, number, chance):
        """Points of some days ago come in, and a job asks for them."""
        base = datetime.now(timezone.utc) - timedelta(days=chance.randint(2, 6))
        insert(cursor, "gps_coordinates", self._fixes("old", chance, base, range(0, 600, 5)))
        cursor.execute("SELECT start_backfill(%s, %s)", (base - timedelta(hours=1), base + timedelta(hours=1)))
        return "backfills", 1, 3

    def _vacuum(self, cursor, number, chance):
        table = chance.choice(["gps_coordinates", "processing_batches", "cached_polylines", "stops", "worker_runs"])
        cursor.execute(f"VACUUM (ANALYZE) {table}")
        return "vacuums", 1, 0.5

    def _dump(self, cursor, number, chance):
        self._db.cluster.run("pg_dump", "-d", self._db.name, "-f", "/dev/null")
        return "dumps", 1, 2

    def _judge(self, settings):
        """Whether each point was processed once, and all is as from scratch."""
        wrong = self._db.value(NOT_ONCE)
        self.say("slowest: " + ", ".join(f"{name} {took:.2f} s" for name, took in sorted(self.slowest.items())))
        return ([f"{wrong} points were not processed exactly once"] if wrong else []) + judge(
            self._scene, self._db, self._osrm, settings, self.say)
