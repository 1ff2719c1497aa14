"""What a day takes on disk: devices that drive for eight hours with a fix each 3 s, and stand for the rest of the
day with a fix a minute. Rows, and bytes with all indexes, as they are after a vacuum; and how many rows of stops are left
of a day that is over, after upkeep."""

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
BEGIN = int(time.time()) // (24 * HOUR) * 24 * HOUR - 72 * HOUR  # three days ago, midnight UTC
DRIVEN = 8 * HOUR
BUDGET, DAYS = 2**30, 30  # what the cache may take, and for how long
TABLES = {"cached_polylines": "paths", "stops": "stops", "processing_batches": "batches", "gps_coordinates": "points"}
CACHE = ("cached_polylines", "stops")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--devices", type=int, default=20, help="default: %(default)s")
    return parser.parse_args()


def day(osrm, devices):
    """Lines for COPY."""
    chance = random.Random(1)
    for device in range(devices):
        routes = [random_route(osrm, HOUR, chance) for _ in range(DRIVEN // HOUR)]
        for at in (*range(0, DRIVEN, 3), *range(DRIVEN, 24 * HOUR, 60)):
            hour, second = divmod(min(at, DRIVEN - 1), HOUR)
            longitude, latitude = moved(routes[hour].at(second), chance.gauss(0, NOISE), chance.gauss(0, NOISE))
            yield f"car-{device}\t{longitude:.7f}\t{latitude:.7f}\t{BEGIN + at}\n"


def main():
    exit_on_signals()
    devices = arguments().devices
    with Osrm(name="osrm-disk") as osrm, Cluster("bench-disk") as cluster:
        db = Database(cluster, "postgres")
        db.rows("CREATE EXTENSION osrm_matcher")
        db.set("osrm_matcher.osrm_url", osrm.url)
        copy(db, day(osrm, devices))
        db.rows("SELECT start_backfill(to_timestamp(%s), to_timestamp(%s))", (BEGIN, BEGIN + 24 * HOUR))
        db.rows("CALL process_pending(3600)")
        db.rows("VACUUM")
        if left := db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed"):
            raise SystemExit(f"{left} points were left")
        print(f"{devices} devices, a day of eight hours' driving")
        print(f"{'':<20}{'rows a device':>15}{'bytes a row':>13}{'kB a device':>13}")
        kept = 0
        for table, name in TABLES.items():
            rows, size = db.rows(f"SELECT count(*), pg_total_relation_size('{table}') FROM {table}")[0]
            kept += DAYS * size if table in CACHE else 0
            print(f"{name:<20}{rows / devices:15.0f}{size / rows:13.0f}{size / devices / 1000:13.0f}")
            if table == "stops":
                db.rows("CALL upkeep()")
                left = db.value("SELECT count(*) FROM stops")
                print(f"{'  of a day before':<20}{left / devices:15.0f}{size / rows:13.0f}{left * size / rows / devices / 1000:13.0f}")
                kept -= (DAYS - 1) * size * (1 - left / rows)
        print(f"1 GB holds the paths and stops of {BUDGET / (kept / devices):.0f} such devices for {DAYS} days", flush=True)


if __name__ == "__main__":
    main()
