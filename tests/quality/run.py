#!/usr/bin/env python3
"""`make quality`: synthetic drives through the extension, against their truth and OSRM's defaults.

What is measured, all of it in one run, on a private cluster and private OSRM servers:

- route mismatch of every cell (see drives.py), beside OSRM's defaults on the whole trip
- a day's kilometres and the greatest speed, beside the sum of the steps between points (see distances.py)
- OSRM's time for 1,000 raw points, ours and the defaults'
- windows of a minute, 15 minutes and a day (a whole trip) beside the usual five minutes
- points that arrive minute by minute, a run after each: the outcome must be that of a single run

The tables and pictures of the best, the median and the worst drive go to target/quality. The exit
code is 1 where live and bulk differ, or where the line is worse than the project's table says: see
expected.py, also for what --accept does.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import env  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402

import baseline  # noqa: E402
import distances  # noqa: E402
import drives  # noqa: E402
import expected  # noqa: E402
import extension  # noqa: E402
import picture  # noqa: E402
import report  # noqa: E402
from mismatch import Truth  # noqa: E402

OUT = env.TARGET / "quality"
WINDOW = "5min"
OTHER_WINDOWS = ("1min", "15min", "1d")
WORKERS = 2
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Matched(NamedTuple):
    """What came out."""

    defaults: dict  # lines by device
    costs: dict  # by interval
    by_window: dict  # paths by device, by length of window
    different: list  # devices whose live outcome is not that of the bulk run
    driven: list  # what the extension counts of each drive


def cpu_seconds(osrm):
    """CPU time that a server has used so far."""
    fields = Path(f"/proc/{osrm.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


@contextmanager
def step(what):
    """Says what is going on and how long it took, for the whole takes minutes."""
    print(f"... {what}", end="", file=sys.stderr, flush=True)
    begin = time.monotonic()
    yield
    print(f": {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)


def match_everything(db, osrm, whole, fleet):
    """Both ways over all drives, interval by interval; the defaults' lines and the costs."""
    lines, costs = {}, {}
    for interval in drives.INTERVALS:
        group = [drive for drive in fleet if drive.cell.interval == interval]
        before = cpu_seconds(osrm), cpu_seconds(whole)
        extension.match_in_bulk(db, group)
        lines |= baseline.match(whole, group)
        points = sum(len(drive.fixes) for drive in group)
        costs[interval] = report.Cost(points, cpu_seconds(osrm) - before[0], cpu_seconds(whole) - before[1])
    return lines, costs


def measure(job):
    """Mismatches of several outputs with one truth; runs in a worker process."""
    truth, outputs = job
    prepared = Truth(truth)
    return [prepared.mismatch(lines) for lines in outputs]


def measure_all(fleet, outputs):
    """Mismatches of every drive, in the order of the fleet, for each named way to get its lines."""
    jobs = [(drive.truth, [lines[drive.device] for lines in outputs.values()]) for drive in fleet]
    with ProcessPoolExecutor(WORKERS) as pool:
        found = pool.map(measure, jobs, chunksize=4)
        return dict(zip(outputs, zip(*found)))


def differences(bulk, live):
    """Devices whose rows are not the same."""
    return sorted(device for device in bulk.keys() | live.keys() if bulk.get(device) != live.get(device))


def draw_pictures(measured, ours, defaults):
    """Of the best, the median and the worst drive; returns their names."""
    ranked = sorted(measured, key=lambda result: (result.ours.total, -result.defaults.total))
    for name, result in (("best", ranked[0]), ("median", ranked[len(ranked) // 2]), ("worst", ranked[-1])):
        drive = result.drive
        title = (
            f"{name}: {drive.device}, mismatch {100 * result.ours.total:.1f} %"
            f" (OSRM's defaults {100 * result.defaults.total:.1f} %)"
        )
        fixes = [place for _, *place in drive.fixes]
        picture.draw(OUT / f"{name}.svg", title, fixes, drive.truth, defaults[drive.device], ours[drive.device])
        yield title


def match_all_ways(fleet, osrm, whole, cluster):
    """Everything that needs a server."""
    with step(f"{len(fleet)} drives, {sum(len(drive.fixes) for drive in fleet):,} points: all at once"):
        bulk_db = extension.new_database(cluster, "bulk", osrm, WINDOW)
        defaults, costs = match_everything(bulk_db, osrm, whole, fleet)
    bulk = extension.paths(bulk_db)
    with step("the same, minute by minute"):
        live_db = extension.new_database(cluster, "live", osrm, WINDOW)
        extension.match_live(live_db, fleet)
    different = differences(bulk, extension.paths(live_db))
    if extension.stops(bulk_db) != extension.stops(live_db):
        different.append("stops")
    by_window = {WINDOW: bulk}
    for window in OTHER_WINDOWS:
        with step(f"windows of {window}"):
            db = extension.new_database(cluster, f"window_{window}", osrm, window)
            extension.match_in_bulk(db, fleet)
        by_window[window] = extension.paths(db)
    return Matched(defaults, costs, by_window, different, distances.read(bulk_db, fleet))


def write_report(fleet, matched):
    """Measures, prints, and leaves tables and pictures behind; returns the figures by name."""
    bulk = matched.by_window[WINDOW]
    outputs = {window: extension.lines(paths, fleet) for window, paths in matched.by_window.items()}
    outputs["matched"] = extension.lines(bulk, fleet, status=("matched",))
    outputs["defaults"] = matched.defaults
    with step("measuring"):
        found = measure_all(fleet, outputs)
    results = list(map(report.Result, fleet, found[WINDOW], found["matched"], found["defaults"]))
    by_cell = report.figures(results)
    days = distances.days(fleet, matched.driven)
    means = report.window_means(fleet, {window: found[window] for window in matched.by_window})
    text = "\n\n".join([
        "Route mismatch in per cent of the true length, **ours** / OSRM's defaults on the whole trip;"
        " all lines drawn count, raw pieces too:",
        report.summary(by_cell),
        "The same for other lengths of the windows, means over all drives:",
        report.window_table(means),
        "Error of a day's kilometres in per cent, **ours** / the sum of the steps between points:",
        distances.table(days),
        "Error of a tour's greatest speed in per cent, **mean** (worst):",
        distances.speed_table(days),
        "CPU time of OSRM:",
        report.cost_table(matched.costs),
        f"Live against bulk: {sum(map(len, bulk.values())):,} paths of {len(fleet)} drives,"
        f" {len(matched.different)} differences.",
        *draw_pictures(results, outputs[WINDOW], matched.defaults),
    ])
    print(text)
    (OUT / "quality.md").write_text(text + "\n")
    (OUT / "cells.md").write_text(report.details(by_cell) + "\n")
    for sentence in (*report.shortfalls(by_cell), *distances.shortfalls(days)):
        print("below target:", sentence)
    for device in matched.different:
        print("live and bulk differ:", device)
    return report.named(by_cell, means) | distances.named(days)


def judge(figures, accept):
    """True if the line is as good as the table says, or the table now says what the line is."""
    comparison = expected.compare(expected.read(), figures)
    print(*expected.report(comparison), sep="\n")
    if accept:
        expected.write(figures)
        print(f"{expected.PATH.name} is renewed")
    return accept or comparison.passed


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=drives.SEED)
    parser.add_argument("--drives", type=int, default=drives.TOURS, help="tours in each cell")
    parser.add_argument("--accept", action="store_true", help="renew the table that later runs are held to")
    args = parser.parse_args()
    args.usual = (args.seed, args.drives) == (drives.SEED, drives.TOURS)
    if args.accept and not args.usual:
        parser.error("the table is of the usual drives: leave --seed and --drives out")
    return args


def main():
    args = arguments()
    exit_on_signals()
    OUT.mkdir(parents=True, exist_ok=True)
    with (
        Osrm(name="osrm-quality") as osrm,
        Osrm(name="osrm-quality-whole", max_matching_size=baseline.MAX_MATCHING_SIZE) as whole,
        Cluster(f"quality-{os.getpid()}", conf={"fsync": "off"}) as cluster,
    ):
        fleet = drives.fleet(osrm.url, drives.cells(), args.seed, args.drives)
        matched = match_all_ways(fleet, osrm, whole, cluster)
    figures = write_report(fleet, matched)
    good = judge(figures, args.accept) if args.usual else True  # of other drives no table is kept
    return 0 if good and not matched.different else 1


if __name__ == "__main__":
    sys.exit(main())
