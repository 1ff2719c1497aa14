#!/usr/bin/env python3
"""`make quality TOLD=1`: the same drives as devices tell of them in other ways, through the extension, against their truth.

What a device takes each five seconds, with 5 m of correlated noise, reaches the table late, at once, twice or now and then,
or some of it is much worse than the rest. Printed is the route mismatch of all drawn lines in per cent of the true length,
mean and worst drive, beside that of the drives as they were taken; and of how many points nothing is made.
"""

import argparse
import random
import sys
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.cluster import Cluster  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402

import drives  # noqa: E402
import extension  # noqa: E402
from mismatch import Truth  # noqa: E402
from motion import Plane  # noqa: E402

CELL = drives.Cell(interval=5, noise=5, correlated=True, rough=False)
QUICK = 0.02  # seconds from one to the next of what comes at once


def held_back(fixes, seconds, each, gap=QUICK):
    """Every so often nothing comes for some seconds, then all of it."""
    begin, told = fixes[0][0] + each / 2, []
    for time, *place in fixes:
        after = (time - begin) % each
        if time >= begin and after < seconds:
            time = time - after + seconds + after / CELL.interval * gap
        told.append([time, *place])
    return sorted(told)


def in_parcels(fixes, seconds, gap=QUICK):
    """What was taken in some seconds comes when they are over."""
    return [[(time // seconds + 1) * seconds + time % seconds / CELL.interval * gap, *place] for time, *place in fixes]


def newest_first(fixes, seconds):
    """In parcels, whose newest fix is sent first."""
    parcels = {}
    for time, *place in fixes:
        parcels.setdefault(time // seconds, []).append(place)
    return [[(number + 1) * seconds + nth * QUICK, *place]
            for number, places in parcels.items() for nth, place in enumerate([places[-1], *places[:-1]])]


def again(fixes, lag, share=1.0):
    """Each fix, or some, once more, later."""
    chance = random.Random(1)
    return sorted(fixes + [[time + lag, *place] for time, *place in fixes if chance.random() < share])


def astray(fixes, metres, is_noisy):
    """Fixes with so many metres of white noise more where `is_noisy` says so of their time, and of chance."""
    chance = random.Random(1)
    plane = Plane(*fixes[0][1:])
    told = []
    for time, *place in fixes:
        if is_noisy(time, chance):
            error = [chance.gauss(0, metres), chance.gauss(0, metres)]
            place = plane.to_degrees(plane.to_metres(place) + error).tolist()
        told.append([time, *place])
    return told


def changed_places(fixes, share):
    """Of some, the place is told with the time of the next one, and the other way round."""
    chance, told, number = random.Random(1), [list(fix) for fix in fixes], 0
    while number + 1 < len(told):
        if chance.random() < share:
            told[number][1:], told[number + 1][1:] = told[number + 1][1:], told[number][1:]
            number += 1
        number += 1
    return told


def signs_of_life(fixes, each, back):
    """Every so often a place of before with the present time."""
    until = fixes[-1][0]
    told = [[fix[0] + back * CELL.interval + 3, *fix[1:]] for fix in fixes[::each // CELL.interval]]
    return sorted(fixes + [fix for fix in told if fix[0] < until])


KINDS = {
    "as taken": lambda fixes: fixes,
    "held back for a minute, then at once": lambda fixes: held_back(fixes, 60, 300),
    "the same, a second apart": lambda fixes: held_back(fixes, 60, 300, 1.0),
    "held back for three minutes": lambda fixes: held_back(fixes, 180, 600),
    "in parcels of 15 s": lambda fixes: in_parcels(fixes, 15),
    "in parcels of a minute": lambda fixes: in_parcels(fixes, 60),
    "the same, the newest first": lambda fixes: newest_first(fixes, 60),
    "the same, with one time": lambda fixes: in_parcels(fixes, 60, 0.0),
    "all twice, 6 s apart": lambda fixes: again(fixes, 6),
    "a tenth twice, 7 s apart": lambda fixes: again(fixes, 7, 0.1),
    "a sign of life a minute": lambda fixes: signs_of_life(fixes, 60, 0),
    "the same, with an older place": lambda fixes: signs_of_life(fixes, 60, 1),
    "40 m of noise for 20 s in two minutes": lambda fixes: astray(fixes, 40, lambda time, _: time % 120 < 20),
    "a thirtieth some 60 m off": lambda fixes: astray(fixes, 60, lambda _, chance: chance.random() < 1 / 30),
    "a twentieth with the next one's time": lambda fixes: changed_places(fixes, 0.05),
}


def main():
    exit_on_signals()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=drives.SEED)
    parser.add_argument("--drives", type=int, default=12, help="how many (default: %(default)s)")
    options = parser.parse_args()
    with Osrm(name="osrm-told") as osrm, Cluster("told") as cluster:
        taken = drives.fleet(osrm.url, [CELL], options.seed, options.drives)
        truths = [Truth(drive.truth) for drive in taken]
        print(f"{'':40}{'mean':>7}{'worst':>7}{'left out':>10}")
        for number, (kind, tell) in enumerate(KINDS.items()):
            told = [drive._replace(fixes=tell(list(drive.fixes))) for drive in taken]
            db = extension.new_database(cluster, f"told_{number}", osrm)
            extension.match_in_bulk(db, told)
            lines = extension.lines(extension.paths(db), told)
            wrong = [100 * truth.mismatch(lines[drive.device]).total for truth, drive in zip(truths, told)]
            out = db.value("SELECT sum(duplicate_count + outlier_count) FROM processing_batches")
            print(f"{kind:40}{mean(wrong):7.2f}{max(wrong):7.1f}{out:10}", flush=True)
            db.disconnect()


if __name__ == "__main__":
    main()
