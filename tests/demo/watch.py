"""Looks, twice a second, at which points have become readable, and what the worker did."""

import time

# A point is readable once it lies in the time of a path or of a stop of its device. Points that were
# set aside for good (repeated, impossible, a lone one) are processed and in no line.
NEWLY_PROCESSED = """
SELECT p.id,
       extract(epoch FROM clock_timestamp() - p.created_at)::float AS delay,
       EXISTS (SELECT FROM cached_polylines c
                WHERE c.device_id = p.device_id AND p.recorded_at BETWEEN c.start_time AND c.end_time)
       OR EXISTS (SELECT FROM stops s
                   WHERE s.device_id = p.device_id AND p.recorded_at BETWEEN s.start_time AND s.end_time)
  FROM gps_coordinates p
 WHERE p.processed AND p.id > %s AND p.id <> ALL (%s)
"""




class Watch:
    def __init__(self, database):
        self._database = database
        self._done_up_to = 0  # every point up to this id has been seen, and of those above it, these:
        self._done_above = set()
        self._last_run = 0
        self._last_failure = 0
        self._last_progress = time.monotonic()
        self.waiting = 0
        self.readable = 0
        self.set_aside = 0
        self.worst_delay = 0.0

    def look(self):
        """Takes note of the points that became readable since the last look."""
        self.waiting = self._database.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed")
        found = self._database.rows(NEWLY_PROCESSED, (self._done_up_to, list(self._done_above)))
        for number, delay, in_a_line in found:
            self._done_above.add(number)
            if in_a_line:
                self.readable += 1
                self.worst_delay = max(self.worst_delay, delay)
            else:
                self.set_aside += 1
        while self._done_up_to + 1 in self._done_above:
            self._done_up_to += 1
            self._done_above.remove(self._done_up_to)
        if found:
            self._last_progress = time.monotonic()

    def seconds_without_progress(self):
        return time.monotonic() - self._last_progress

    def new_runs(self):
        """The worker's own record of the runs that ended since the last look, as dictionaries."""
        runs = [run for (run,) in self._database.rows(
            "SELECT to_jsonb(r) FROM worker_runs r WHERE r.id > %s ORDER BY r.id", (self._last_run,))]
        if runs:
            self._last_run = runs[-1]["id"]
        return runs

    def new_failures(self):
        """What pg_cron says of runs of the schedule that failed since the last look."""
        failures = self._database.rows(
            "SELECT runid, return_message FROM cron.job_run_details"
            " WHERE status = 'failed' AND runid > %s ORDER BY runid", (self._last_failure,))
        if failures:
            self._last_failure = failures[-1][0]
        return [message.splitlines()[0] for _, message in failures]
