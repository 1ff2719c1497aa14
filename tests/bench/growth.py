"""What a run costs beside all that is done, quiet, old, or dead in an index: the same as in an empty database.

Two databases get the same points at the same times and are timed in turn, one empty, one with what a year leaves
behind, added step by step. The best of some rounds counts: whatever else the machine does only adds.
"""

import argparse
import random
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

from psycopg2.extras import execute_values

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.cluster import Cluster  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402
from harness.route import moved, random_route  # noqa: E402

INTERVAL = 3  # seconds between the points of a live device
ROUNDS = 3
EMPTY_RUNS = 20
ROUTES = 50  # more devices drive the same ways

PROCESSED = """
    INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at, processed)
    SELECT 'fleet-' || d, 24.94, 60.17, now() - interval '25 hours' - t * interval '3 s', true
      FROM generate_series(1, %(devices)s) d, generate_series(1, %(points)s / %(devices)s) t"""
BATCHES = """
    INSERT INTO processing_batches (device_id, start_time, end_time, status, processing_completed_at, context_start, context_end)
    SELECT p.device, s, s + interval '5 min', 'completed', s + interval '6 min', s - interval '1 min', s + interval '6 min'
      FROM (SELECT {device} AS device, date_bin('5 min', now(), 'epoch') - interval '26 hours' - w * interval '5 min' AS s
              FROM generate_series(1, %(devices)s) d, generate_series(1, %(windows)s) w) p"""
QUIET = """
    INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at, processed)
    SELECT 'quiet-' || d, 24.94, 60.17, now() - interval '3 days' - t * interval '3 s', true
      FROM generate_series(1, %(devices)s) d, generate_series(1, 3) t"""
OLD = """
    INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
    SELECT 'old-' || d, 24.94, 60.17, now() - interval '3 days' FROM generate_series(1, %(devices)s) d"""
# An hour of the live devices, as it was up to some minutes ago: all of it was taken in since the snapshot.
HOUR = """
    INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
    SELECT 'live-4-' || d, 24.94, 60.17, now() - %(ago)s * interval '1 min' - t * interval '1 s'
      FROM generate_series(0, %(devices)s - 1) d, generate_series(1, %(seconds)s, 3) t"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processed", type=int, default=20_000_000, help="processed points (default: %(default)s)")
    parser.add_argument("--devices", type=int, default=100_000, help="quiet devices, and old ones (default: %(default)s)")
    parser.add_argument("--live", type=int, default=1_000, help="live devices (default: %(default)s)")
    parser.add_argument("--snapshot", type=int, default=60, help="minutes that the snapshot is old (default: %(default)s)")
    return parser.parse_args()


def drives(osrm, devices):
    """For each live device, the offsets in seconds, longitudes and latitudes of a drive."""
    seconds, chance = 60 * ROUNDS, random.Random(1)
    routes = [random_route(osrm, seconds, chance) for _ in range(ROUTES)]
    return [[(at, *moved(routes[number % ROUTES].at(at), chance.gauss(0, 4), chance.gauss(0, 4)))
             for at in range(number % INTERVAL, seconds, INTERVAL)] for number in range(devices)]


def minute(fixes, fleet, number, begin):
    """The points of one minute of a drive that began at `begin`, by devices that no other step has."""
    for device, drive in enumerate(fixes):
        for at, longitude, latitude in drive:
            if at // 60 == number:
                yield f"live-{fleet}-{device}", longitude, latitude, begin + at


def run(db):
    begin = time.monotonic()
    db.rows("CALL process_pending(600)")
    return (time.monotonic() - begin) * 1000


def live_run(db, points):
    db.rows("SELECT 1")
    with closing(db._connection.cursor()) as cursor:
        execute_values(
            cursor, "INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at) VALUES %s", points,
            template="(%s, %s, %s, to_timestamp(%s))", page_size=10_000)
    return run(db)


def measure(empty, grown, fixes, fleet):
    """Milliseconds of an empty run and of a live one in either database, the best of some."""
    idle = {db.name: min(run(db) for _ in range(EMPTY_RUNS)) for db in (empty, grown)}
    live = {empty.name: [], grown.name: []}
    begin = time.time() - 60 * ROUNDS
    for number in range(ROUNDS):
        points = list(minute(fixes, fleet, number, begin))
        for db in (empty, grown):
            live[db.name].append(live_run(db, points))
    return [(idle[db.name], min(live[db.name])) for db in (empty, grown)]


@contextmanager
def old_snapshot(db, options):
    """A transaction that sees none of what is processed while it is open."""
    with closing(db.connect(autocommit=False)) as session:
        session.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM stops")
        # Live windows are the last five to ten minutes: the hour ends before.
        db.rows(HOUR, {"devices": options.live, "ago": 11, "seconds": 60 * options.snapshot})
        db.rows("UPDATE gps_coordinates SET processed = true WHERE NOT processed AND device_id LIKE 'live-%'")
        yield


def load(db, statement, **values):
    db.rows(statement, values)
    db.rows("ANALYZE")


def report(what, measured):
    (idle, live), (idle_grown, live_grown) = measured
    print(f"{what:<58} {idle:6.1f} {idle_grown:7.1f} {idle_grown / idle:6.2f}   {live:7.0f} {live_grown:7.0f} "
          f"{live_grown / live:6.2f}", flush=True)


def main():
    exit_on_signals()
    options = arguments()
    conf = {"fsync": "off", "max_wal_size": "8GB", "shared_buffers": "1GB", "autovacuum_naptime": "10s"}
    with Osrm(name="osrm-growth") as osrm, Cluster("growth", conf={**conf, "osrm_matcher.osrm_url": osrm.url}) as cluster:
        databases = []
        for name in ("bare", "grown"):
            cluster.create_database(name)
            databases.append(Database(cluster, name))
            databases[-1].rows("CREATE EXTENSION osrm_matcher")
        empty, grown = databases
        fixes = drives(osrm, options.live)
        print(f"{'milliseconds':<58} {'empty run':^21}   {options.live:,} live devices")
        print(f"{'beside':<58} {'bare':>6} {'grown':>7} {'ratio':>6}   {'bare':>7} {'grown':>7} {'ratio':>6}")
        report("nothing", measure(empty, grown, fixes, 0))
        load(grown, PROCESSED, points=options.processed, devices=2000)
        load(grown, BATCHES.format(device="'fleet-' || d"), devices=2000, windows=options.processed // 2000 // 100)
        report(f"{options.processed:,} processed points", measure(empty, grown, fixes, 1))
        load(grown, QUIET, devices=options.devices)
        load(grown, BATCHES.format(device="'quiet-' || d"), devices=options.devices, windows=1)
        report(f"and {options.devices:,} quiet devices", measure(empty, grown, fixes, 2))
        load(grown, OLD, devices=options.devices)
        report(f"and {options.devices:,} with old unprocessed points", measure(empty, grown, fixes, 3))
        with old_snapshot(grown, options):
            report(f"and a snapshot open for {options.snapshot} minutes of work", measure(empty, grown, fixes, 4))


if __name__ == "__main__":
    main()
