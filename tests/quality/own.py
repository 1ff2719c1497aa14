#!/usr/bin/env python3
"""`make quality DATA=dir OSRM_URL=url`: a fleet's own tracks through the extension, against their truth.

The folder holds one file of JSON or more, each a set that gets a row of its own; drives.py writes such files, too:

    {"drives": [{"id": "van-7", "truth": [[[lon, lat], ...], ...], "fixes": [[epoch, lon, lat], ...]}]}

`truth` is what was driven: lines that are drawn over the same map as the server's. Fixes are in the order of time.
Printed are the route mismatch of all drawn lines in per cent of the true length (mean, mean with each drive capped
at 10, median; and the mean of what lies where the fixes themselves are nearer to the line than to the truth), and the
worst drives with what they lack and what they have too much. The exit code is 0 whatever the figures are: judge them
beside those of an earlier run.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from statistics import mean, median
from types import SimpleNamespace
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.cluster import Cluster  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402

import extension  # noqa: E402
from mismatch import Mismatch, Truth  # noqa: E402

CAP = 10.0  # per cent
WORST = 5


class Drive(NamedTuple):
    device: str
    truth: list
    fixes: list


class Result(NamedTuple):
    drive: Drive
    mismatch: Mismatch
    misled: float  # share of the true length, of the mismatch


class BadFile(Exception):
    """Says which file, which drive, and what is wrong with it."""


def _places(rows, width, what):
    """Rows of so many numbers each."""
    if not isinstance(rows, list) or len(rows) < 2:
        raise ValueError(f"{what} need two places at least")
    for row in rows:
        if not (isinstance(row, list) and len(row) == width and all(isinstance(n, (int, float)) for n in row)):
            raise ValueError(f"{what} are no lists of {width} numbers each: {row}")
        if not (-180 <= row[-2] <= 180 and -90 <= row[-1] <= 90):
            raise ValueError(f"{what} are no longitude and latitude in degrees: {row}")
    return rows


def read(file):
    """The drives of a file."""
    try:
        found = json.loads(file.read_text())["drives"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadFile(f"{file} has no list of drives: {error!r}") from error
    drives = []
    for number, drive in enumerate(found):
        try:
            truth = [_places(line, 2, "lines of the truth") for line in drive["truth"]]
            drives.append(Drive(f"{file.stem}/{drive['id']}", truth, _places(drive["fixes"], 3, "fixes")))
        except (ValueError, KeyError, TypeError) as error:
            raise BadFile(f"{file}, drive {number}: {error}") from error
        if not truth:
            raise BadFile(f"{file}, drive {number}: the truth has no line")
    if len({drive.device for drive in drives}) < len(drives):
        raise BadFile(f"{file}: two drives have the same id")
    return drives


def measure(cluster, url, sets):
    """Results of each set's drives, by its name."""
    db = extension.new_database(cluster, "own", SimpleNamespace(url=url))
    found = {}
    for name, drives in sets.items():
        extension.match_in_bulk(db, drives)
        lines = extension.lines(extension.paths(db), drives)
        found[name] = [judge(drive, lines[drive.device]) for drive in drives]
    return found


def judge(drive, lines):
    return Result(drive, *Truth(drive.truth).mismatch_and_misled(lines, [place for _, *place in drive.fixes]))


def tell(found):
    print(f"{'set':<24}{'drives':>8}{'mean':>8}{'capped':>8}{'median':>8}{'misled':>8}")
    for name, results in found.items():
        shares = [100 * result.mismatch.total for result in results]
        capped, misled = mean(min(share, CAP) for share in shares), mean(100 * result.misled for result in results)
        print(f"{name:<24}{len(shares):8}{mean(shares):8.2f}{capped:8.2f}{median(shares):8.2f}{misled:8.2f}")
    worst = sorted((result for results in found.values() for result in results), key=lambda r: -r.mismatch.total)[:WORST]
    print("\nworst: per cent missing, per cent too much, per cent of both where the fixes misled")
    for drive, mismatch, misled in worst:
        print(f"{drive.device:<32}{100 * mismatch.missing:8.2f}{100 * mismatch.excess:8.2f}{100 * misled:8.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of JSON files")
    parser.add_argument("osrm", help="address of an OSRM server with the map of these tracks")
    options = parser.parse_args()
    exit_on_signals()
    try:
        sets = {file.stem: read(file) for file in sorted(options.data.glob("*.json"))}
    except BadFile as error:
        parser.error(str(error))
    if not sets:
        parser.error(f"{options.data} holds no file of JSON")
    with Cluster(f"quality-{os.getpid()}", conf={"fsync": "off"}) as cluster:
        tell(measure(cluster, options.osrm, sets))


if __name__ == "__main__":
    main()
