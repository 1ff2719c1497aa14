"""How several workers drain a backlog where OSRM is 20 ms away: points a second, and how many times that of one.

Two cores, which all share, bound it: once they are used up, more workers bring nothing.
"""

import os
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

os.environ.setdefault("DEVICES", "200")
os.environ.setdefault("POINTS", "200000")

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import env  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.delay import Delay  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402
from throughput import DEVICES, POINTS_EACH, empty, load, points  # noqa: E402

AWAY = 0.02  # seconds
SHAPES = ((1, 4), (2, 4), (4, 4), (1, 16))  # workers, and threads of each that ask OSRM
ROUNDS = 3  # the best of each counts


def drain(db, workers, threads_each):
    """Seconds that so many workers take together, called as the schedule calls them."""
    gate = threading.Barrier(workers + 1)

    def work():
        with closing(db.connect()) as session, closing(session.cursor()) as cursor:
            cursor.execute("SET osrm_matcher.concurrency = %s", (threads_each,))
            gate.wait()
            cursor.execute("CALL process_pending(3600, %s)", (max(500 // workers, 50),))

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    gate.wait()
    begin = time.monotonic()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begin
    figures = db.row("SELECT count(*) AS left, (SELECT sum(windows_failed + windows_deferred) FROM worker_runs) AS failed"
                     "  FROM gps_coordinates WHERE NOT processed")
    if any(figures.values()):
        raise SystemExit(f"with {workers} workers: {figures}")
    return seconds


def main():
    exit_on_signals()
    conf = {"max_wal_size": "8GB", "shared_buffers": "1GB"}
    with Osrm(name="osrm-workers") as osrm, Delay(osrm.port, AWAY) as far, Cluster("bench-workers", conf=conf) as cluster:
        db = Database(cluster, "postgres")
        db.rows("CREATE EXTENSION osrm_matcher")
        db.set("osrm_matcher.osrm_url", far.url)
        file = env.TARGET / "bench-points.tsv"
        with open(file, "w") as out:
            out.writelines(points(osrm))
        total = DEVICES * POINTS_EACH
        print(f"{total:,} points of {DEVICES} devices, OSRM {1000 * AWAY:.0f} ms away, "
              f"{os.cpu_count()} cores for all", flush=True)
        best = dict.fromkeys(SHAPES, 0.0)
        for _ in range(ROUNDS):
            for shape in SHAPES:
                empty(db)
                load(db, file)
                db.rows("VACUUM ANALYZE gps_coordinates")
                best[shape] = max(best[shape], total / drain(db, *shape))
        for (workers, threads), rate in best.items():
            print(f"{workers} worker{'s' if workers > 1 else ''} with {threads} threads".ljust(26)
                  + f"{rate:8,.0f} points/s  {rate / best[SHAPES[0]]:5.2f}", flush=True)


if __name__ == "__main__":
    main()
