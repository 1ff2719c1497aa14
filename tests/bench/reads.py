"""How long reads take: 1,000 devices with 24 hours of driving each, while a worker is processing.

usage: reads.py [seconds for each measurement]    Prints a table; the paths are generated, not matched.
"""

import math
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import psycopg2.extras

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.cluster import Cluster  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402

DEVICES = 1000

# 289 windows a device, 45 vertices a line, written in the order in which a fleet's paths come in.
PATHS = f"""
    SELECT setseed(0.5);
    CREATE TEMP TABLE lines AS
    SELECT line, encode_polyline(array_agg(lon ORDER BY i), array_agg(lat ORDER BY i)) AS encoded
      FROM (SELECT line, i,
                   24.9 + sum((random() - 0.45) * 0.002) OVER (PARTITION BY line ORDER BY i) AS lon,
                   60.17 + sum((random() - 0.5) * 0.001) OVER (PARTITION BY line ORDER BY i) AS lat
              FROM generate_series(1, 500) AS line, generate_series(1, 45) AS i) AS walks
     GROUP BY line;
    INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, osrm_confidence, point_count,
           processing_duration_ms, source_coordinates_count, created_at, matched_share, mean_offset_m, length_m,
           fixes_length_m, max_speed_mps, batch_id)
    SELECT 'device-' || d, t, t + interval '5 min', l.encoded, 0.9, 45, 12, 300, t + interval '5 min', 1, 3.1, 2000,
           1990, 15, gen_random_uuid()
      FROM generate_series(date_bin('5 min', now(), 'epoch') - interval '24 h', now(), '5 min') AS t
     CROSS JOIN generate_series(1, {DEVICES}) AS d
      JOIN lines l ON l.line = 1 + (d * 7 + extract(epoch FROM t)::bigint / 300) % 500
     ORDER BY t;
    DROP TABLE lines"""

# A month of one device, and the questions that a report asks.
MONTH = """
    INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count, length_m, max_speed_mps)
    SELECT 'month', t, t + interval '5 min', l.encoded_polyline, 45, 2000, 15
      FROM generate_series(date_bin('5 min', now(), 'epoch') - interval '30 days', now(), '5 min') AS t
     CROSS JOIN (SELECT encoded_polyline FROM cached_polylines LIMIT 1) AS l"""
REPORTS = {
    "distance of a month, one device": "get_device_distance('month', '-infinity', 'infinity')",
    "the same by day": "get_distances('{{month}}', '-infinity', 'infinity')",
    "its trips with their lines": "get_device_trips('month', '-infinity', 'infinity')",
    f"24 h of {DEVICES} devices by day": "get_distances(NULL, now() - interval '1 day', now())",
    "a day of device_days": "device_days WHERE day = current_date",
}

# Ten million points that are done and a hundred thousand that wait, of the same devices.
POINTS = f"""
    INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at, processed)
    SELECT 'device-' || d, 24.9, 60.2, now() - interval '20 h' + s * interval '7 s', true
      FROM generate_series(1, 10000) AS s, generate_series(1, {DEVICES}) AS d;
    INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
    SELECT 'device-' || d, 24.9, 60.2, now() - interval '100 s' + s * interval '1 s'
      FROM generate_series(1, 100) AS s, generate_series(1, {DEVICES}) AS d;
    INSERT INTO processing_batches (device_id, start_time, end_time, status, processing_completed_at, coordinate_count)
    SELECT 'device-' || d, t, t + interval '5 min', 'completed', t + interval '5 min', 43
      FROM generate_series(date_bin('5 min', now(), 'epoch') - interval '20 h', now(), '5 min') AS t,
           generate_series(1, {DEVICES}) AS d"""


class Worker:
    """Points of a hundred vehicles coming in, and a worker that matches them, until the block ends."""

    def __init__(self, database):
        self.database = database
        self.stop = threading.Event()
        self.points = 0
        self.threads = [threading.Thread(target=self.drive), threading.Thread(target=self.work)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def drive(self):
        chance = random.Random(1)
        places = [[24.90 + chance.random() * 0.08, 60.16 + chance.random() * 0.03] for _ in range(100)]
        with closing(self.database.connect()) as session:
            cursor = session.cursor()
            while not self.stop.wait(1):
                for place in places:
                    place[0] += chance.gauss(0.0001, 0.0002)
                    place[1] += chance.gauss(0.00005, 0.0001)
                cursor.execute(
                    "INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at) "
                    "SELECT 'live-' || n, lon, lat, %s FROM unnest(%s::int[], %s::float8[], %s::float8[]) AS p (n, lon, lat)",
                    (datetime.now(timezone.utc), list(range(len(places))), [p[0] for p in places], [p[1] for p in places]))
                self.points += len(places)

    def work(self):
        with closing(self.database.connect()) as session:
            while not self.stop.wait(0.2):
                session.cursor().execute("CALL process_pending(5)")


def quantiles(milliseconds):
    """Median and 99th percentile by nearest rank: of a hundred, the 99th."""
    ordered = sorted(milliseconds)
    return statistics.median(ordered), ordered[math.ceil(len(ordered) * 0.99) - 1]


def show(what, milliseconds, target=None, note=""):
    p50, p99 = quantiles(milliseconds)
    goal = f"(target {target} ms)" if target else ""
    print(f"{what:<46} p50 {p50:8.2f} ms   p99 {p99:8.2f} ms   {note} {goal}".rstrip(), flush=True)


def pgbench(database, script, clients, seconds):
    """Latencies in milliseconds of one call after another, by so many clients at once."""
    folder = Path(tempfile.mkdtemp(prefix="reads."))
    try:
        folder.chmod(0o777)
        (folder / "call.sql").write_text(script)
        database.cluster.run(
            "pgbench", "-n", "-M", "prepared", "-c", clients, "-j", min(clients, 2), "-T", seconds, "-l",
            "--log-prefix", folder / "log", "-f", folder / "call.sql", database.name)
        logs = [line.split() for log in folder.glob("log.*") for line in log.read_text().splitlines()]
        return [int(fields[2]) / 1000 for fields in logs]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def repeated(database, query, times, fresh=False):
    """Latencies in milliseconds of one call after another in one session, or each in a fresh one."""
    taken = []
    session = database.connect()
    for number in range(times):
        begin = time.perf_counter()
        if fresh:
            session.close()
            session = database.connect()
        cursor = session.cursor()
        cursor.execute(query.format(device=f"device-{1 + number * 37 % DEVICES}"))
        cursor.fetchall()
        taken.append((time.perf_counter() - begin) * 1000)
    session.close()
    return taken


def main(seconds):
    exit_on_signals()
    psycopg2.extras.register_default_json(globally=True, loads=lambda text: text)  # time the server, not Python
    with Osrm(name="osrm-reads") as osrm:
        conf = {"osrm_matcher.osrm_url": osrm.url, "shared_buffers": "1GB", "max_wal_size": "8GB"}
        with Cluster("reads", conf=conf) as cluster:
            database = Database(cluster, "postgres")
            database.rows("CREATE EXTENSION osrm_matcher")
            print(f"making the paths of {DEVICES} devices for 24 hours", flush=True)
            database.rows(PATHS)
            database.rows("VACUUM ANALYZE cached_polylines")
            paths, size = database.rows("SELECT count(*), pg_total_relation_size('cached_polylines') FROM cached_polylines")[0]
            print(f"{paths} paths, {size / 2**20:.0f} MB with indexes, {size / DEVICES:.0f} bytes a device and day: "
                  f"{size * 30 / 2**30:.1f} GB for 30 days of {DEVICES} devices\n", flush=True)

            page = f"\\set d random(1, {DEVICES})\nSELECT get_device_page('device-' || :d);\n"
            for busy in (False, True):
                print("while a worker is processing" if busy else "with nothing else going on", flush=True)
                worker = Worker(database)
                if busy:
                    worker.__enter__()
                try:
                    for clients in (1, 8, 32):
                        taken = pgbench(database, page, clients, seconds)
                        show(f"  page of a device, 24 h, {clients} clients", taken, 10 if clients == 8 else None,
                             f"{len(taken) / seconds:6.0f}/s")
                    show("  first paint of a device, connection included",
                         repeated(database, "SELECT get_device_page('{device}')", 100, fresh=True))
                    show("  fleet, last hour", repeated(database, "SELECT get_fleet_page(1)", 50), 80)
                    show("  fleet, last hour, connection included",
                         repeated(database, "SELECT get_fleet_page(1)", 20, fresh=True), 80)
                finally:
                    if busy:
                        worker.__exit__()
                if busy:
                    print(f"  (meanwhile {worker.points} points came in, "
                          f"{database.value('SELECT sum(points) FROM worker_runs')} were matched)\n", flush=True)

            database.rows(MONTH)
            database.rows("VACUUM ANALYZE cached_polylines")
            for what, call in REPORTS.items():
                show(f"  {what}", repeated(database, f"SELECT * FROM {call}", 20))

            print("\nmaking 10,000,000 processed points and 100,000 that wait", flush=True)
            database.rows(POINTS)
            database.rows("VACUUM ANALYZE gps_coordinates, processing_batches")
            show("worker_status()", repeated(database, "SELECT * FROM worker_status()", 100), 10)
            status = database.row("SELECT * FROM worker_status()")
            print(f"  it says {status['unprocessed_points']} waiting, {status['processed_points']} done, "
                  f"{status['windows_pending']} windows pending")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
