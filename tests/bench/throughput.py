"""How many points a second the whole pipeline drains, and how many OSRM alone could.

The extension is run once against a recorder; then, round after round, it is run and timed, and the
very same requests are put to the same OSRM by wrk, a load generator written in C, on the same cores.
The best round of each counts: whatever else the machine does only takes away.
"""

import os
import random
import re
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import env  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402
from harness.route import moved, random_route  # noqa: E402
from recorder import Recorder  # noqa: E402

DEVICES = int(os.environ.get("DEVICES", 100))
POINTS_EACH = int(os.environ.get("POINTS", 100_000)) // DEVICES
INTERVAL = 3  # seconds between the points of a device
NOISE = 4.0  # metres
ROUNDS = 3
WRK_SECONDS = 5
WRK_CONNECTIONS = (2, 4, 8)


def points(osrm):
    """Lines for COPY: every device drives over Helsinki for the same span of time."""
    start = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0) - timedelta(hours=6)
    for number in range(DEVICES):
        chance = random.Random(number)
        route = random_route(osrm, POINTS_EACH * INTERVAL, chance)
        for count in range(POINTS_EACH):
            longitude, latitude = moved(
                route.at(count * INTERVAL), chance.gauss(0, NOISE), chance.gauss(0, NOISE))
            at = start + timedelta(seconds=count * INTERVAL)
            yield f"car-{number}\t{longitude:.7f}\t{latitude:.7f}\t{at.isoformat()}\n"


def load(db, path):
    with closing(db.connect()) as connection, open(path) as file:
        connection.cursor().copy_expert(
            "COPY gps_coordinates (device_id, longitude, latitude, recorded_at) FROM STDIN", file)


def empty(db):
    db.rows("TRUNCATE gps_coordinates, processing_batches, cached_polylines, stops, known_seams, worker_runs")


def drain(db):
    """Seconds that the schedule's procedure takes until nothing is pending."""
    begin = time.monotonic()
    db.rows("CALL process_pending(3600)")
    seconds = time.monotonic() - begin
    left = db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed")
    if left:
        raise SystemExit(f"{left} points were left: {db.rows('SELECT * FROM worker_runs')}")
    return seconds


def wrk(osrm, listing, connections):
    """Requests a second that OSRM answers when it has nothing else to do."""
    result = subprocess.run(
        ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{WRK_SECONDS}s",
         "--timeout", "30s", "--script", str(Path(__file__).with_name("replay.lua")), osrm.url],
        env={**os.environ, "REQUESTS": str(listing)}, capture_output=True, text=True, check=True,
    )
    return float(re.search(r"Requests/sec:\s*([\d.]+)", result.stdout)[1])


def main():
    exit_on_signals()
    with Osrm(name="osrm-bench") as osrm, Cluster("bench") as cluster:
        db = Database(cluster, "postgres")
        db.rows("CREATE EXTENSION osrm_matcher")
        file = env.TARGET / "bench-points.tsv"
        with open(file, "w") as out:
            out.writelines(points(osrm))
        total = DEVICES * POINTS_EACH
        print(f"{total:,} points of {DEVICES} devices, one in {INTERVAL} s each, noise {NOISE} m", flush=True)

        with Recorder(osrm) as recorder:
            db.set("osrm_matcher.osrm_url", recorder.url)
            load(db, file)
            drain(db)
        requests = len(recorder.requests)
        listing = env.TARGET / "bench-requests.txt"
        listing.write_text("".join(path + "\n" for path in recorder.requests))

        db.set("osrm_matcher.osrm_url", osrm.url)
        pipeline = alone = 0.0
        for number in range(1, ROUNDS + 1):
            empty(db)
            load(db, file)
            seconds = drain(db)
            rates = {connections: wrk(osrm, listing, connections) for connections in WRK_CONNECTIONS}
            pipeline, alone = max(pipeline, total / seconds), max(alone, *rates.values())
            print(f"  round {number}: pipeline {requests / seconds:.0f} requests/s ({seconds:.1f} s); OSRM alone "
                  + ", ".join(f"{rate:.0f} with {c} connections" for c, rate in rates.items()), flush=True)

        alone *= total / requests
        print(f"whole pipeline:                {pipeline:8,.0f} points/s")
        print(f"OSRM alone, the same requests: {alone:8,.0f} points/s ({requests:,} requests)")
        print(f"ratio:                         {pipeline / alone:8.2f}")


if __name__ == "__main__":
    main()
