"""Inserts the fleet's points in real time, as a TCP listener of a fleet application would."""

import threading
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone

from psycopg2.extras import execute_values


class Traffic(threading.Thread):
    """From one second of the drive until another."""

    def __init__(self, database, fleet, seconds, begin=0):
        super().__init__(daemon=True)
        self._database = database
        self._fleet = fleet
        self._seconds = range(begin, seconds)
        self._stopped = threading.Event()

    def run(self):
        gone = self._seconds.start
        begin, clock = datetime.now(timezone.utc) - timedelta(seconds=gone), time.monotonic() - gone
        with closing(self._database.connect()) as connection, connection.cursor() as cursor:
            for second in self._seconds:
                if self._stopped.wait(max(0.0, clock + second - time.monotonic())):
                    return
                self._insert(cursor, begin, [fix for v in self._fleet for fix in v.tick(second)])
            self._insert(cursor, begin, [fix for v in self._fleet for fix in v.last_words()])

    def stop(self):
        self._stopped.set()
        self.join()

    @staticmethod
    def _insert(cursor, begin, fixes):
        if fixes:
            execute_values(
                cursor,
                "INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at) VALUES %s",
                [(f.device, f.longitude, f.latitude, begin + timedelta(seconds=f.seconds)) for f in fixes],
            )
