"""What a day takes on disk: devices that drive for eight hours with a fix each 3 s, and stand for the rest of the
day with a fix a minute; day after day, with upkeep each night. Rows, and bytes with all indexes, after a vacuum."""

import argparse
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.cluster import Cluster  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402
from harness.route import moved, random_route  # noqa: E402
from live import NOISE, copy  # noqa: E402

HOUR = 3600
DAY = 24 * HOUR
DRIVEN = 8 * HOUR
BUDGET, DAYS = 2**30, 30  # what the cache may take, and for how long
TABLES = {"cached_polylines": "paths", "stops": "stops", "processing_batches": "batches", "gps_coordinates": "points"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--devices", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--days", type=int, default=5, help="default: %(default)s")
    return parser.parse_args()


def points(osrm, devices, begin, chance):
    """A day's lines for COPY."""
    for device in range(devices):
        routes = [random_route(osrm, HOUR, chance) for _ in range(DRIVEN // HOUR)]
        for at in (*range(0, DRIVEN, 3), *range(DRIVEN, DAY, 60)):
            hour, second = divmod(min(at, DRIVEN - 1), HOUR)
            longitude, latitude = moved(routes[hour].at(second), chance.gauss(0, NOISE), chance.gauss(0, NOISE))
            yield f"car-{device}\t{longitude:.7f}\t{latitude:.7f}\t{begin + at}\n"


def main():
    exit_on_signals()
    devices, days = arguments().devices, arguments().days
    chance = random.Random(1)
    first = (int(time.time()) // DAY - days - 1) * DAY  # the last of them was over a day ago
    with Osrm(name="osrm-disk") as osrm, Cluster("bench-disk") as cluster:
        db = Database(cluster, "postgres")
        db.rows("CREATE EXTENSION osrm_matcher")
        db.set("osrm_matcher.osrm_url", osrm.url)
        db.set("osrm_matcher.look_back", f"{days + 2}d")
        for begin in range(first, first + days * DAY, DAY):
            db.rows("CALL upkeep()")
            db.rows("VACUUM")
            joined = db.value("SELECT count(*) FROM stops")
            copy(db, points(osrm, devices, begin, chance))
            db.rows("CALL process_pending(3600)")
        db.rows("VACUUM")
        if left := db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed"):
            raise SystemExit(f"{left} points were left")
        print(f"{devices} devices, {days} days of eight hours' driving")
        print(f"{'':<20}{'rows':>10}{'bytes a row':>13}{'kB a device and day':>22}")
        size = {}
        for table, name in TABLES.items():
            rows, size[name] = db.rows(f"SELECT count(*), pg_total_relation_size('{table}') FROM {table}")[0]
            print(f"{name:<20}{rows:10}{size[name] / rows:13.0f}{size[name] / devices / days / 1000:22.1f}")
        # Upkeep has joined the stops of all days but the last.
        one_joined = joined / (days - 1) * size["stops"] / db.value("SELECT count(*) FROM stops")
        kept = size["paths"] * DAYS / days + size["stops"] + (DAYS - days) * one_joined
        print(f"1 GB holds the paths and stops of {BUDGET / (kept / devices):.0f} such devices for {DAYS} days", flush=True)


if __name__ == "__main__":
    main()
