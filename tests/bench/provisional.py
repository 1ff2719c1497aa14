"""How far the provisional line of an open window is from the settled one: the share of it that moves by more than
20 metres. The server's clock is put forward a minute at a time, and each minute what is new of the lines is kept."""

import argparse
import sys
from math import cos, hypot, radians
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import env  # noqa: E402
from harness.clock import Clock  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402
from live import INTERVAL, Fleet, arrive  # noqa: E402

MINUTES = 30
FAR = 20.0  # metres
STEP = 10.0  # metres between the places of a line that are looked at
AROUND = 60  # seconds: what was driven there may be drawn so much earlier or later
METRES = 111_200.0  # a degree of latitude
ACROSS = METRES * cos(radians(60.2))  # a degree of longitude in Helsinki
LINES = """
    SELECT c.device_id, extract(epoch FROM c.start_time)::float8, extract(epoch FROM c.end_time)::float8,
           array_agg(v.longitude ORDER BY v.ordinal), array_agg(v.latitude ORDER BY v.ordinal)
      FROM cached_polylines c, decode_polyline(c.encoded_polyline) v
     WHERE c.end_time > to_timestamp(%s)
     GROUP BY c.id"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--devices", type=int, default=200, help="default: %(default)s")
    return parser.parse_args()


def lines(db, since):
    """Device, start, end and the line's places in metres."""
    for device, start, end, lon, lat in db.rows(LINES, (since,)):
        yield device, start, end, [(x * ACROSS, y * METRES) for x, y in zip(lon, lat)]


def places(line):
    """Places along a line, with the metres that each stands for."""
    for (x, y), (u, v) in zip(line, line[1:]):
        length = hypot(u - x, v - y)
        count = int(length / STEP) + 1
        for n in range(count):
            share = (n + 0.5) / count
            yield (x + share * (u - x), y + share * (v - y)), length / count


def distance(place, line):
    """Metres from a place to a line."""
    x, y = place
    nearest = float("inf")
    for (ax, ay), (bx, by) in zip(line, line[1:]):
        dx, dy = bx - ax, by - ay
        square = dx * dx + dy * dy
        share = max(0.0, min(1.0, ((x - ax) * dx + (y - ay) * dy) / square)) if square else 0.0
        nearest = min(nearest, hypot(x - ax - share * dx, y - ay - share * dy))
    return nearest


def compare(provisional, settled):
    """Metres of provisional line in all, and those that are far from the settled one."""
    total = far = 0.0
    for device, start, end, line in provisional:
        near = [other for begin, until, other in settled.get(device, ())
                if begin < end + AROUND and until > start - AROUND]
        for place, metres in places(line):
            total += metres
            far += metres * (min((distance(place, other) for other in near), default=FAR + 1) > FAR)
    return total, far


def main():
    exit_on_signals()
    devices = arguments().devices
    clock = Clock(env.TARGET / "provisional-clock")
    with Osrm(name="osrm-provisional") as osrm, Cluster("bench-provisional", clock=clock) as cluster:
        db = Database(cluster, "postgres")
        db.rows("CREATE EXTENSION osrm_matcher")
        db.set("osrm_matcher.osrm_url", osrm.url)
        fleet = Fleet(osrm, devices, MINUTES)
        begin = clock.now()
        provisional, drawn = [], {}
        for minute in range(MINUTES):
            arrive(db, clock, fleet, begin, minute, minute + 1)
            db.rows("CALL process_pending(3600)")
            for device, start, end, line in lines(db, begin + 60 * minute + 1):
                provisional.append((device, start, end, line[drawn.get((device, start), 1) - 1:]))
                drawn[device, start] = len(line)
        clock.forward(3600)
        db.rows("CALL process_pending(3600)")
        if open_windows := db.value("SELECT count(*) FROM processing_batches WHERE settles_at IS NOT NULL"):
            raise SystemExit(f"{open_windows} windows have not settled")
        settled = {}
        for device, start, end, line in lines(db, begin):
            settled.setdefault(device, []).append((start, end, line))
        total, far = compare(provisional, settled)
        print(f"{devices} devices, a fix each {INTERVAL} s, {MINUTES} minutes: {total / 1000:.0f} km of provisional line "
              f"as first drawn, {100 * far / total:.2f} % of it more than {FAR:.0f} m from the settled line")


if __name__ == "__main__":
    main()
