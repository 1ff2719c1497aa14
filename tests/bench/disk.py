"""What a day takes on disk: devices that drive for eight hours with a fix each 3 s, and stand for the rest of the
day with a fix a minute; day after day, with upkeep each night. Rows, and bytes with all indexes, after a vacuum.
With --live, points come in minute by minute, with a run each, on a clock that is put forward: a quarter of an hour for a day."""

import argparse
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import env  # noqa: E402
from harness.clock import Clock  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402
from harness.route import moved, random_route  # noqa: E402
from live import NOISE, copy  # noqa: E402

MINUTE, HOUR = 60, 3600
DAY = 24 * HOUR
DRIVEN = 8 * HOUR
BUDGET, DAYS = 2**30, 30  # what the cache may take, and for how long
TABLES = {"cached_polylines": "paths", "stops": "stops", "processing_batches": "batches", "gps_coordinates": "points"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--devices", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--days", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--live", action="store_true", help="a run a minute instead of one a day")
    return parser.parse_args()


def points(osrm, devices, begin, chance):
    """Second of the day, and line for COPY, of each fix of a day."""
    for device in range(devices):
        routes = [random_route(osrm, HOUR, chance) for _ in range(DRIVEN // HOUR)]
        for at in (*range(0, DRIVEN, 3), *range(DRIVEN, DAY, MINUTE)):
            hour, second = divmod(min(at, DRIVEN - 1), HOUR)
            longitude, latitude = moved(routes[hour].at(second), chance.gauss(0, NOISE), chance.gauss(0, NOISE))
            yield at, f"car-{device}\t{longitude:.7f}\t{latitude:.7f}\t{begin + at}\n"


def pass_day(db, clock, begin, fixes, live):
    """Has a day's fixes come in, and works them off: minute by minute, or at once when it is over. Where a vehicle stands,
    five minutes serve as one."""
    ends = [*range(MINUTE, DRIVEN, MINUTE), *range(DRIVEN, DAY, 5 * MINUTE)] if live else []
    for first, last in zip([0, *ends], [*ends, DAY]):
        copy(db, [line for at, line in fixes if first <= at < last])
        clock.forward_to(begin + last)
        db.rows("CALL process_pending(3600)")


def main():
    exit_on_signals()
    options = arguments()
    devices, days = options.devices, options.days
    chance = random.Random(1)
    clock = Clock(env.TARGET / "disk-clock")
    first = (int(time.time()) // DAY + 1) * DAY + 4 * HOUR  # upkeep is over by then
    with Osrm(name="osrm-disk") as osrm, Cluster("bench-disk", clock=clock) as cluster:
        db = Database(cluster, "postgres")
        db.rows("CREATE EXTENSION osrm_matcher")
        db.set("osrm_matcher.osrm_url", osrm.url)
        db.set("osrm_matcher.look_back", "2d")
        for begin in range(first, first + days * DAY, DAY):
            clock.forward_to(begin)
            db.rows("CALL upkeep()")
            db.rows("VACUUM")
            joined = db.value("SELECT count(*) FROM stops WHERE batch_id IS NULL")
            pass_day(db, clock, begin, list(points(osrm, devices, begin, chance)), options.live)
        clock.forward(2 * HOUR)
        db.rows("CALL process_pending(3600)")
        db.rows("VACUUM")
        if left := db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed"):
            raise SystemExit(f"{left} points were left")
        print(f"{devices} devices, {days} days of eight hours' driving, {'a run a minute' if options.live else 'a run a day'}")
        print(f"{'':<20}{'rows':>10}{'bytes a row':>13}{'kB a device and day':>22}")
        size = {}
        for table, name in TABLES.items():
            rows, size[name] = db.rows(f"SELECT count(*), pg_total_relation_size('{table}') FROM {table}")[0]
            print(f"{name:<20}{rows:10}{size[name] / rows:13.0f}{size[name] / devices / days / 1000:22.1f}")
        # Upkeep has joined the stops of all days but the last; a row of several windows has no batch.
        one_joined = joined / max(days - 1, 1) * size["stops"] / db.value("SELECT count(*) FROM stops")
        kept = size["paths"] * DAYS / days + size["stops"] + (DAYS - days) * one_joined
        print(f"1 GB holds the paths and stops of {BUDGET / (kept / devices):.0f} such devices for {DAYS} days", flush=True)


if __name__ == "__main__":
    main()
