"""What live work costs: a run a minute over windows that are still open, beside the same points as a backlog.

Each run finds the server's clock at the end of its minute, however long the one before took. After the first slots have
come to their end, when each minute settles as much as it begins, some minutes are measured: the processor time of OSRM
and of the session, and how fast a plain worker does the same.
"""

import argparse
import os
import random
import sys
import time
from contextlib import closing
from io import StringIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import env  # noqa: E402
from harness.clock import Clock  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402
from harness.route import moved, random_route  # noqa: E402
from plain import PlainWorker  # noqa: E402

INTERVAL = 3  # seconds between the points of a device, unless another is asked for
NOISE = 4.0  # metres
ROUTES = 50  # more devices drive the same ways
WARM = 35  # minutes: slots end, and the last of their windows settle
STEP = 5  # minutes at a time until then
LONG_AGO = 6 * 3600  # seconds; a backlog begins so far back
PLAIN = 1_000  # devices at most whose points the plain worker gets: its speed does not depend on their number
PLAIN_MINUTES = 5  # of live work
TICK = os.sysconf("SC_CLK_TCK")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, nargs="+", default=[1_000, 10_000], help="default: 1000 10000")
    parser.add_argument("--minutes", type=int, default=15, help="that are measured (default: %(default)s)")
    parser.add_argument("--interval", type=int, default=INTERVAL, help="seconds from fix to fix (default: %(default)s)")
    parser.add_argument("--alone", action="store_true", help="without the backlog and the plain worker beside it")
    return parser.parse_args()


def processor(pid):
    """Milliseconds of processor time that a process with its threads has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / TICK


class Fleet:
    """Drives that can begin at any moment."""

    def __init__(self, osrm, devices, minutes, interval=INTERVAL):
        chance = random.Random(1)
        self._routes = [random_route(osrm, 60 * minutes, chance) for _ in range(min(ROUTES, devices))]
        self._devices, self._chance, self._interval = devices, chance, interval

    def points(self, begin, first, last, most=None):
        """Lines for COPY of some minutes of drives that begin then (seconds since 1970), of so many devices at most."""
        for device in range(min(self._devices, most or self._devices)):
            route = self._routes[device % len(self._routes)]
            for at in range(60 * first + device % self._interval, 60 * last, self._interval):
                longitude, latitude = moved(
                    route.at(at), self._chance.gauss(0, NOISE), self._chance.gauss(0, NOISE))
                yield f"car-{device}\t{longitude:.7f}\t{latitude:.7f}\t{begin + at}\n"


def copy(db, lines, table="gps_coordinates"):
    with closing(db.connect()) as session, closing(session.cursor()) as cursor:
        cursor.execute("CREATE TEMPORARY TABLE come (device text, lon float8, lat float8, at float8)")
        cursor.copy_expert("COPY come FROM STDIN", StringIO("".join(lines)))
        cursor.execute(f"INSERT INTO {table} (device_id, longitude, latitude, recorded_at) "
                       "SELECT device, lon, lat, to_timestamp(at) FROM come")


def arrive(db, clock, fleet, begin, first, last):
    """Has the points of some minutes arrive, and the clock come to their end; returns how many they are."""
    lines = list(fleet.points(begin, first, last))
    copy(db, lines)
    clock.forward_to(begin + 60 * last)
    return len(lines)


class Meter:
    """What runs over some points took."""

    def __init__(self, osrm):
        self._osrm = osrm.process.pid
        self.points = 0
        self.osrm = self.backend = self.seconds = self.longest = 0.0

    def run(self, db, points):
        session = db.value("SELECT pg_backend_pid()")
        osrm, backend, begin = processor(self._osrm), processor(session), time.monotonic()
        db.rows("CALL process_pending(3600)")
        seconds = time.monotonic() - begin
        self.points += points
        self.seconds, self.longest = self.seconds + seconds, max(self.longest, seconds)
        self.osrm += processor(self._osrm) - osrm
        self.backend += processor(session) - backend

    def cost(self):
        """Milliseconds a thousand points, of OSRM and of the session."""
        return self.osrm * 1000 / self.points, self.backend * 1000 / self.points


def live(db, clock, fleet, meter, minutes):
    """Works minute by minute, and measures those after the first."""
    begin = clock.now()
    for first in range(0, WARM, STEP):
        arrive(db, clock, fleet, begin, first, first + STEP)
        db.rows("CALL process_pending(3600)")
    for minute in range(WARM, WARM + minutes):
        meter.run(db, arrive(db, clock, fleet, begin, minute, minute + 1))


def backlog(db, clock, fleet, meter, minutes):
    """Works off as many minutes at once."""
    lines = list(fleet.points(clock.now() - LONG_AGO, 0, WARM + minutes))
    copy(db, lines)
    meter.run(db, len(lines))


def plain_speed(db, osrm, fleet, begin, spans):
    """Points a second of a plain worker that gets these spans of minutes one after the other."""
    worker, points = PlainWorker(db, osrm), 0
    for first, last in spans:
        lines = list(fleet.points(begin, first, last, PLAIN))
        copy(db, lines, "points")
        worker.run()
        points += len(lines)
    return points / worker.seconds


def measure(devices, minutes, interval, alone):
    clock = Clock(env.TARGET / "bench-clock")
    conf = {"max_wal_size": "8GB", "shared_buffers": "1GB"}
    with Osrm(name="osrm-live") as osrm, Cluster("bench-live", conf=conf, clock=clock) as cluster:
        fleet = Fleet(osrm, devices, WARM + minutes, interval)
        meters = {name: Meter(osrm) for name in ("backlog", "live")}
        # The machine's speed changes with time: a backlog before and one after are what live work is held against.
        works = [("backlog", backlog), ("live", live), ("backlog", backlog)]
        for nth, (name, work) in enumerate(works[1:2] if alone else works):
            cluster.create_database(f"{name}_{nth}")
            db = Database(cluster, f"{name}_{nth}")
            db.rows("CREATE EXTENSION osrm_matcher")
            db.set("osrm_matcher.osrm_url", osrm.url)
            work(db, clock, fleet, meters[name], minutes)
        spans = {"live": [(minute, minute + 1) for minute in range(WARM, WARM + PLAIN_MINUTES)],
                 "backlog": [(0, WARM + minutes)]}
        plain = {}
        for name in () if alone else spans:
            cluster.create_database(f"plain_{name}")
            db = Database(cluster, f"plain_{name}")
            plain[name] = plain_speed(db, osrm, fleet, clock.now() - LONG_AGO, spans[name])
        return meters, plain


def compare(meters, plain):
    """Prints live work beside the backlog."""
    print(f"{'milliseconds a thousand points':<34}{'backlog':>9}{'live':>9}{'ratio':>8}")
    cost = {name: meter.cost() for name, meter in meters.items()}
    for what, at in (("OSRM", 0), ("PostgreSQL, with threads", 1)):
        print(f"{what:<34}{cost['backlog'][at]:9.1f}{cost['live'][at]:9.1f}"
              f"{cost['live'][at] / cost['backlog'][at]:8.2f}")
    speed = {name: meter.points / meter.seconds for name, meter in meters.items()}
    print(f"{'points a second':<34}{speed['backlog']:9.0f}{speed['live']:9.0f}")
    print(f"{'points a second, a plain worker':<34}{plain['backlog']:9.0f}{plain['live']:9.0f}")
    print(f"{'times its speed':<34}{speed['backlog'] / plain['backlog']:9.1f}{speed['live'] / plain['live']:9.1f}")


def main():
    exit_on_signals()
    options = arguments()
    for devices in options.devices:
        meters, plain = measure(devices, options.minutes, options.interval, options.alone)
        runs = meters["live"]
        print(f"{devices:,} devices, a fix each {options.interval} s, {options.minutes} minutes")
        if options.alone:
            print("milliseconds a thousand points: OSRM {:.1f}, PostgreSQL, with threads, {:.1f}".format(*runs.cost()))
        else:
            compare(meters, plain)
        print(f"a minute's run ends after {runs.seconds / options.minutes:.1f} s, "
              f"the longest after {runs.longest:.1f} s", flush=True)


if __name__ == "__main__":
    main()
