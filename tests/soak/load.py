"""Everything at once: workers, writers, readers, a backfill, vacuum and dumps, for as long as one likes.

At the end every point must have been processed exactly once, and the paths must be those of one quiet
worker that had all points from the start.
"""

import random
import threading
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone

from psycopg2.extras import execute_values

from harness.outcome import decided, leftovers
from harness.route import moved, random_route

WORKERS = 4
WRITERS = 3
READERS = 2
ROUTES = 6
DRIVE = 1200  # seconds that a drive lasts
REPORT = 30

# Notes each time that a point becomes processed: once a point, if all is well.
COUNT_MARKS = """
    CREATE TABLE marks (point bigint);
    CREATE FUNCTION count_marks() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO marks VALUES (new.id); RETURN NULL; END $$;
    CREATE TRIGGER count_marks AFTER UPDATE ON gps_coordinates
        FOR EACH ROW WHEN (new.processed AND NOT old.processed) EXECUTE FUNCTION count_marks()"""

COPY_POINTS = "INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at, accuracy) VALUES %s"


class Soak:
    """`db` takes the load, `quiet` is an empty database of the same kind, for the comparison."""

    def __init__(self, db, quiet, osrm, seconds, seed=1, say=lambda line: None):
        self.db = db
        self.quiet = quiet
        self.seconds = seconds
        self.say = say
        self._chance = random.Random(seed)
        self._routes = [random_route(osrm, DRIVE, self._chance) for _ in range(ROUTES)]
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.counts = {}
        self.slowest = {}
        self.failures = []

    def run(self):
        """Puts the load on, takes it off, and returns what is wrong; nothing, if all is well."""
        self.db.rows(COUNT_MARKS)
        tasks = [(self._work, n) for n in range(WORKERS)] + [(self._write, n) for n in range(WRITERS)]
        tasks += [(self._read, n) for n in range(READERS)]
        tasks += [(self._backfill, 0), (self._vacuum, 0), (self._dump, 0)]
        threads = [threading.Thread(target=self._guard, args=task) for task in tasks]
        begin = time.monotonic()
        for thread in threads:
            thread.start()
        while time.monotonic() - begin < self.seconds and not self.failures:
            self._stop.wait(min(REPORT, self.seconds - (time.monotonic() - begin) + 0.1))
            self.say(f"{time.monotonic() - begin:4.0f} s: {self.counts}")
        self._stop.set()
        for thread in threads:
            thread.join(120)
        if self.failures:
            return self.failures
        return self._judge()

    def _guard(self, task, number):
        """Repeats a task, which says what it did, how much of it, and how long to pause."""
        try:
            with closing(self.db.connect()) as connection:
                chance = random.Random(f"{task.__name__}{number}")
                while not self._stop.is_set():
                    begin = time.monotonic()
                    name, count, pause = task(connection.cursor(), number, chance)
                    took = time.monotonic() - begin
                    with self._lock:
                        self.counts[name] = self.counts.get(name, 0) + count
                        self.slowest[name] = max(self.slowest.get(name, 0), took)
                    self._stop.wait(pause)
        except Exception as error:  # whatever it is, the soak has failed
            with self._lock:
                self.failures.append(f"{task.__name__}: {error!r}")
            self._stop.set()

    def _work(self, cursor, number, chance):
        if chance.random() < 0.3:
            cursor.execute("SELECT * FROM process_pending_gps(%s)", (chance.randint(1, 40),))
        else:
            cursor.execute("CALL process_pending(%s, %s)", (chance.randint(1, 4), chance.randint(1, 60)))
        return "runs", 1, chance.uniform(0, 0.5)

    def _write(self, cursor, number, chance):
        """A piece of some drive, most of it recent, some of it late, twice or out of order."""
        device = f"car-{number}-{chance.randrange(12)}"
        route = self._routes[chance.randrange(ROUTES)]
        base = datetime.now(timezone.utc) - timedelta(hours=chance.choice([0, 0, 0, 1, 3, 20]))
        first = chance.randrange(0, DRIVE - 60)
        fixes = []
        for second in range(first, first + chance.randint(5, 120), chance.choice([1, 3, 5, 10])):
            place = moved(route.at(second % DRIVE), chance.gauss(0, 4), chance.gauss(0, 4))
            fixes.append((device, *place, base - timedelta(seconds=DRIVE - second), None))
        if chance.random() < 0.3:
            chance.shuffle(fixes)
        if chance.random() < 0.1:
            fixes *= 2
        execute_values(cursor, COPY_POINTS, fixes)
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
        days = chance.randint(2, 6)
        base = datetime.now(timezone.utc) - timedelta(days=days)
        route = self._routes[chance.randrange(ROUTES)]
        fixes = [("old", *moved(route.at(second), chance.gauss(0, 4), chance.gauss(0, 4)),
                  base + timedelta(seconds=second), None) for second in range(0, 600, 5)]
        execute_values(cursor, COPY_POINTS, fixes)
        cursor.execute("SELECT start_backfill(%s, %s)", (base - timedelta(hours=1), base + timedelta(hours=1)))
        return "backfills", 1, 3

    def _vacuum(self, cursor, number, chance):
        table = chance.choice(["gps_coordinates", "processing_batches", "cached_polylines", "stops", "worker_runs"])
        cursor.execute(f"VACUUM (ANALYZE) {table}")
        return "vacuums", 1, 0.5

    def _dump(self, cursor, number, chance):
        self.db.cluster.run("pg_dump", "-d", self.db.name, "-f", "/dev/null")
        return "dumps", 1, 2

    def _judge(self):
        """Drains what is left, then compares with the quiet worker."""
        drain(self.db)
        wrong = [f"{count} {name}" for name, count in leftovers(self.db).items()]
        points, marks, marked = self.db.rows(
            "SELECT (SELECT count(*) FROM gps_coordinates), count(*), count(DISTINCT point) FROM marks")[0]
        if not points == marks == marked:
            wrong.append(f"{points} points, {marked} of them marked, {marks} times")
        failed = self.db.value("SELECT count(*) FROM processing_batches WHERE status = 'failed'")
        if failed:
            wrong.append(f"{failed} windows failed")

        rows = self.db.rows("SELECT device_id, longitude, latitude, recorded_at, accuracy FROM gps_coordinates")
        with closing(self.quiet.connect()) as connection:
            execute_values(connection.cursor(), COPY_POINTS, rows, page_size=10_000)
        self.quiet.rows("SELECT start_backfill(now() - interval '8 days', now())")
        drain(self.quiet)
        loud, quiet = decided(self.db), decided(self.quiet)
        for part in ("paths", "stops"):
            different = set(map(str, loud[part])) ^ set(map(str, quiet[part]))
            if different:
                wrong.append(f"{part} that differ from those of a quiet worker: {len(different)} "
                             f"of {len(quiet[part])}, such as {sorted(different)[:2]}")
        self.say(f"{points} points in {len(loud['batches'])} windows became {len(loud['paths'])} paths; "
                 "slowest: " + ", ".join(f"{name} {took:.2f} s" for name, took in sorted(self.slowest.items())))
        return wrong


def drain(db):
    """Until nothing is pending, jobs included."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        db.rows("CALL process_pending(60)")
        if not leftovers(db) and db.value("SELECT bool_and(status = 'done') IS NOT FALSE FROM matching_jobs"):
            return
    raise TimeoutError(f"not drained: {leftovers(db)}")
