"""How long it takes from a point's insert until a path that reads it: twenty devices at 1 Hz, over a real schedule."""

import random
import re
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.cluster import Cluster  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402
from harness.route import moved, random_route  # noqa: E402

DEVICES = 20
SECONDS = 180
NOISE = 4.0  # metres
FASTEST = 3.0  # a vehicle that goes on by fewer metres in five seconds may stand: it need not have a line
# Until when there is a line of each device.
DRAWN = "SELECT device_id, extract(epoch FROM max(end_time))::float8 FROM cached_polylines GROUP BY device_id"


class Watch:
    """Points that no path reads yet, and how long the others took."""

    def __init__(self, db):
        self._db, self._waiting, self.delays = db, {}, []

    def insert(self, rows):
        self._db.rows("INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at) VALUES "
                      + ", ".join(["(%s, %s, %s, to_timestamp(%s))"] * len(rows)),
                      [value for row in rows for value in row])
        for device, _, _, at in rows:
            self._waiting.setdefault(device, []).append(at)

    def look(self):
        now = time.time()
        for device, until in self._db.rows(DRAWN):
            waiting = self._waiting.get(device, [])
            self.delays += [now - at for at in waiting if at <= until + 0.001]
            self._waiting[device] = [at for at in waiting if at > until + 0.001]


def moves(route, second):
    (west, south), (east, north) = route.at(second - 5), route.at(second)
    return abs(east - west) * 55_000 + abs(north - south) * 111_000 > FASTEST


def drive(db, osrm):
    chance = random.Random(1)
    routes = [random_route(osrm, SECONDS + 60, chance) for _ in range(DEVICES)]
    watch, begin = Watch(db), time.time()
    for second in range(SECONDS):
        rows = []
        for number, route in enumerate(routes):
            if moves(route, second):
                place = moved(route.at(second), chance.gauss(0, NOISE), chance.gauss(0, NOISE))
                rows.append((f"car-{number}", *place, time.time()))
        watch.insert(rows)
        while time.time() < begin + second + 1:
            watch.look()
            time.sleep(0.05)
    return sorted(watch.delays)


def main():
    exit_on_signals()
    with Osrm(name="osrm-fresh") as osrm, Cluster("bench-fresh", conf={"osrm_matcher.osrm_url": osrm.url}) as cluster:
        db = Database(cluster, "postgres")
        db.rows("CREATE EXTENSION pg_cron; CREATE EXTENSION osrm_matcher")
        version = db.value("SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'")
        seconds = tuple(map(int, re.findall(r"\d+", version)[:2])) >= (1, 5)
        ways = {"every => '5 s', once a minute": "SELECT schedule_processing(every => '5 s')"}
        if seconds:
            ways["a schedule of '5 seconds'"] = "SELECT schedule_processing('5 seconds')"
        for name, statement in ways.items():
            db.rows(statement)
            before = db.value("SELECT count(*) FROM worker_runs")
            db.wait_until("SELECT count(*) > %s FROM worker_runs", 75, (before,))
            delays = drive(db, osrm)
            db.rows("SELECT unschedule_processing()")
            print(f"pg_cron {version}, {name}: {len(delays):,} points, seconds from insert to path: "
                  f"p50 {statistics.median(delays):.1f}, p99 {delays[int(len(delays) * 0.99)]:.1f}", flush=True)


if __name__ == "__main__":
    main()
