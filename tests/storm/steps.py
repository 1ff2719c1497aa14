"""Does what a plan says, in a database of its own; the methods are the operations of `operations.py`."""

import threading
import time
from contextlib import closing
from datetime import timedelta

import psycopg2.errors

from harness.route import moved
from harness.wait import wait_for

from .drain import drain
from .scene import SOURCES, device_lock
from .sessions import Sessions

OLD = "'11 days'"  # before that lies the old era, and nothing else


class Storm(Sessions):
    def __init__(self, plan, scene, db, faults, osrm, tell=lambda line: None, others=None, longest=30):
        super().__init__(plan, scene, db, others)
        self.faults = faults
        self.osrm = osrm
        self.tell = tell
        self.longest = longest  # seconds that a call may take
        self._begun = time.monotonic()

    def blow(self, steps=None):
        """Takes the plan's steps (or those with these numbers), lets everything settle, and returns what failed."""
        try:
            for number in range(len(self.plan.steps)) if steps is None else steps:
                self.take(number)
                if self.failures:
                    return self.failures
            self.settle()
            return self.failures
        finally:
            self.give_up()

    def take(self, number):
        step = self.plan.steps[number]
        self.tell(f"{time.monotonic() - self._begun:6.1f} s  {number:4}  {step}")
        getattr(self, step.name)(**step.arguments)

    def settle(self):
        """Faults off, locks free, all that is due done."""
        with self.alone():
            self.faults.calm()
            self.failures += drain(self.db, self.scene)

    # -- points ------------------------------------------------------------------------------------

    def arrive(self, manner, numbers):
        with closing(self.connect()) as connection:
            self.insert(connection, numbers)

    def repeat(self, numbers):
        self.arrive("again", numbers)

    def write_slowly(self, name, numbers):
        self.insert(self.hold(name), numbers)

    def correct(self, numbers, east, north):
        def elsewhere(row):
            longitude, latitude = moved((row["longitude"], row["latitude"]), east, north)
            return {"longitude": longitude, "latitude": latitude}

        self.change(numbers, "UPDATE {source} SET {place}, processed = false WHERE {found}", elsewhere)

    def move_in_time(self, numbers, seconds):
        self.change(numbers, "UPDATE {source} SET {time} = {time} + make_interval(secs => %(seconds)s), "
                             "processed = false WHERE {found}", lambda row: {"seconds": seconds})
        for number in numbers:
            self.scene.move(number, seconds)

    def give(self, numbers, device):
        # One of the tables takes numbers only.
        number_only = [n for n in numbers if self.plan.points[n].source == "positions"]
        others = [n for n in numbers if n not in number_only]
        for some, other in (others, device), (number_only, device if device.isdigit() else "8"):
            self.change(some, "UPDATE {source} SET {given}, processed = false WHERE {found}", lambda _: {"other": other})
            for number in some:
                self.scene.give(number, other)

    def delete(self, numbers, around):
        self.change(numbers, "DELETE FROM {source} WHERE {found}")
        for number in numbers[:1]:
            self._delete_between(SOURCES, self._span(number, around))
        for number in numbers:
            span = self._span(number, max(around, 1))
            # What is older than all points of a device went because of its age, as far as a re-match can know.
            if self.db.value("SELECT coalesce(min(recorded_at) >= %(first)s, true) FROM every_point "
                             "WHERE device_id = %(device)s", span):
                self._forget(span, False)
            self._rematch(span)

    def forget_device(self, numbers, around, with_points):
        span = self._span(numbers[0], around)
        if with_points:
            # Rows of adopted tables are the application's.
            self._delete_between(SOURCES.keys() - {"gps_coordinates"}, span)
        self._forget(span, with_points)
        if not with_points:
            self._rematch(span)

    def _span(self, number, around):
        """The device of a point, and the time around it."""
        row = self.scene.row(number, self.plan.points[number])
        around = timedelta(seconds=around)
        return {"device": row["device"], "first": row["time"] - around, "last": row["time"] + around}

    def _delete_between(self, sources, span):
        with self.alone():
            self.do(*(f"DELETE FROM {source} WHERE {SOURCES[source].between}" for source in sources), parameters=span)

    def _forget(self, span, with_points):
        with self.alone():
            self.do(f"SELECT forget_device(%(device)s, %(first)s, %(last)s, {with_points})", parameters=span)

    def _rematch(self, span):
        self.do("SELECT start_rematch(%(first)s, %(last)s, ARRAY[%(device)s])", parameters=span)

    # -- runs --------------------------------------------------------------------------------------

    def run(self, max_windows, max_seconds):
        self.do(f"SELECT * FROM process_pending_gps({max_windows}, {max_seconds})")

    def call(self, max_seconds, windows_per_round):
        self.do(f"CALL process_pending({min(max_seconds, self.longest)}, {windows_per_round})")

    def call_in_background(self, max_seconds, windows_per_round):
        self.work_in_background(f"CALL process_pending({min(max_seconds, self.longest)}, {windows_per_round})")

    def several_workers(self, workers, windows_per_round):
        threads = [threading.Thread(target=self.call, args=(30, windows_per_round)) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def by_hand(self, make, claim, match):
        self.do(f"SELECT make_batches({make})",
                f"CREATE TEMP TABLE claimed AS SELECT claim_batches({claim}) AS batch",
                f"SELECT match_batches(ARRAY(SELECT batch FROM claimed LIMIT {match}))")

    def cut_short(self, milliseconds):
        self.do("SELECT * FROM process_pending_gps()", expected=psycopg2.errors.QueryCanceled,
                statement_timeout=milliseconds)

    def take_back(self, max_windows):
        self.do("BEGIN", f"SELECT * FROM process_pending_gps({max_windows})", "ROLLBACK")

    def terminate(self):
        self.terminate_worker()

    # -- OSRM --------------------------------------------------------------------------------------

    def refuse_all(self, fault, retry_after):
        with self.faults.during(then=fault, retry_after=retry_after):
            self.call(30, 20)
        self._let_pause_end()

    def refuse_in_the_middle(self, numbers, after, fault, retry_after):
        self.arrive("late", numbers)
        with self.faults.during(("forward", after), then=fault, retry_after=retry_after):
            self.call(30, 20)
        self._let_pause_end()

    def _let_pause_end(self):
        """What the server asked for with Retry-After, a second."""
        wait_for(lambda: self.db.value(
            "SELECT count(*) = 0 FROM (SELECT * FROM worker_runs ORDER BY id DESC LIMIT 1) r "
            "WHERE r.osrm_resume_at > clock_timestamp()"), 10, "the pause that OSRM asked for to end")

    def refuse_some(self, fault, every):
        self.faults.now_and_then(fault, every)

    def calm(self):
        self.faults.calm()

    def time_out(self, milliseconds, probes):
        # A request that timed out is asked again in a smaller form, and that of another line: silence must last
        # until those who wait have given up.
        with self.alone(), self.faults.during(then="hang", probes_too=not probes):
            self.do("CALL process_pending(2, 5)", **{"osrm_matcher.request_timeout": milliseconds})

    def time_out_once(self, milliseconds, silent):
        with self.alone(), self.faults.during(("hang", silent), probes_too=False):
            self.do("CALL process_pending(10, 5)", **{"osrm_matcher.request_timeout": milliseconds})

    def run_out_of_time(self, numbers, delay):
        self.arrive("late", numbers)
        with self.faults.during(then="slow"):
            self.faults.delay = delay
            self.call(1, 20)

    def kill_osrm(self, under_a_worker):
        if under_a_worker:
            self.call_in_background(30, 5)
        self.osrm.kill()
        self.call(5, 5)
        self.osrm.start()

    # -- others who use the database ---------------------------------------------------------------

    def hold_device(self, name, device):
        self.hold(name, device_lock(device))

    def hold_rows(self, name, numbers):
        with self.hold(name).cursor() as cursor:
            for source, rows in self.by_source(numbers):
                for row in rows:
                    cursor.execute(f"SELECT FROM {source} WHERE {SOURCES[source].found} FOR UPDATE SKIP LOCKED", row)

    def hold_batches(self, name, statement):
        self.hold(name, statement)

    def hold_snapshot(self, name):
        self.hold(name, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM gps_coordinates")

    def let_go(self, name, commit):
        self.free(name, commit)

    def read(self, device):
        self.do(f"SELECT get_device_page('{device}', tail => true)", f"SELECT * FROM get_device_paths('{device}')",
                f"SELECT * FROM get_device_tail('{device}')")

    def vacuum(self, table):
        self.do(f"VACUUM (ANALYZE) {table}")

    # -- operators ---------------------------------------------------------------------------------

    def change_length(self, length):
        self.db.set("osrm_matcher.window", length)

    def start_job(self, kind, era, begin, end, device):
        first, last = self.scene.moment(era, begin), self.scene.moment(era, end)
        devices = f"ARRAY['{device}']" if device else "NULL"
        self.do(f"SELECT start_{kind}('{first}', '{last}', {devices})")

    def stop_jobs(self):
        self._each_job("stop_job", "active")

    def resume_jobs(self):
        self._each_job("resume_job", "stopped")

    def _each_job(self, function, status):
        # A session whose open transaction has moved a job on is waited for, which is nobody's fault but its own.
        self.do(f"SELECT {function}(j.job_id) FROM (SELECT job_id FROM matching_jobs WHERE status = '{status}' "
                "FOR UPDATE SKIP LOCKED) j")

    def retry_failed(self):
        self.do("SELECT retry_failed()")

    def forget_what_is_old(self):
        # What a worker or another session has in hand would be passed over.
        with self.alone():
            self.do(f"CALL upkeep({OLD}, {OLD}, {OLD})")
            # Tables of the application are its own to keep small.
            self.do(*(f"DELETE FROM {source} WHERE processed AND {shape.time} < now() - interval {OLD}"
                      for source, shape in SOURCES.items()))

    def forget_old_batches(self):
        with self.alone():
            self.do(f"CALL upkeep(NULL, {OLD}, NULL)")
