"""A day's kilometres against the true ones, beside what trackers count: the sum of the steps between points.

A day is the six tours of a cell, as get_device_distance() counts them. Errors are signed, in per cent of the
truth, on the globe that OSRM reckons with. So is that of the greatest speed; the true one is over a second, that of
a path over 20 s.
"""

from collections import defaultdict
from statistics import mean
from typing import NamedTuple

import numpy as np

import report
from expected import Figure, signed

EARTH = 6_372_797.560856  # metres, as in src/track/geo.rs
TARGETS = {0: 1.0, 10: 2.0}  # per cent of a day, by metres of noise,
DENSE = 15  # up to this interval in seconds


class Driven(NamedTuple):
    """A drive's metres and greatest speed."""

    metres: float
    speed: float


class Day(NamedTuple):
    """Errors of a cell, in per cent."""

    ours: float
    steps: float
    worst: float  # of a single tour
    speed: float
    worst_speed: float


def length(line):
    """Metres along places of longitude and latitude."""
    lon, lat = np.radians(np.asarray(line, float)).T
    h = np.sin(np.diff(lat) / 2) ** 2 + np.cos(lat[1:]) * np.cos(lat[:-1]) * np.sin(np.diff(lon) / 2) ** 2
    return float(2 * EARTH * np.arcsin(np.sqrt(h)).sum())


def read(db, fleet):
    """What the extension says of each drive, in the order of the fleet."""
    return [
        Driven(*db.rows("SELECT distance_m, coalesce(max_speed_mps, 0)"
                        "  FROM get_device_distance(%s, '-infinity', 'infinity')", (drive.device,))[0])
        for drive in fleet
    ]


def days(fleet, driven):
    """By cell."""
    by_cell = defaultdict(list)
    for drive, ours in zip(fleet, driven):
        true = Driven(length(drive.truth[0]), drive.top_speed)
        by_cell[drive.cell].append((true, ours, length([place for _, *place in drive.fixes])))
    return {cell: _day(tours) for cell, tours in by_cell.items()}


def _day(tours):
    truth = sum(true.metres for true, *_ in tours)
    speeds = [_error(ours.speed, true.speed) for true, ours, _ in tours]
    return Day(
        _error(sum(ours.metres for _, ours, _ in tours), truth),
        _error(sum(steps for *_, steps in tours), truth),
        max((_error(ours.metres, true.metres) for true, ours, _ in tours), key=abs),
        mean(speeds),
        max(speeds, key=abs),
    )


def _error(value, truth):
    return 100 * (value / truth - 1)


def table(by_cell):
    """`ours / sum of steps`."""
    return report.matrix("kilometres of", by_cell, lambda day: f"**{signed(day.ours, 1)}** / {signed(day.steps)}")


def speed_table(by_cell):
    """`mean (worst tour)`."""
    return report.matrix(
        "greatest speed of", by_cell, lambda day: f"**{signed(day.speed)}** ({signed(day.worst_speed)})")


def shortfalls(by_cell):
    """Sentences about the days that miss a target; none if all reach it."""
    for cell, day in by_cell.items():
        target = TARGETS.get(cell.noise)
        if target and cell.interval <= DENSE and abs(day.ours) > target:
            yield f"{cell.name}: a day's kilometres are {day.ours:+.2f} % off the true ones, more than {target:.0f} %"


def named(by_cell):
    """The figures of both tables, as expected.py keeps them."""
    found = {}
    for cell, day in by_cell.items():
        name = report.name_of(cell)
        found[f"kilometres, {name}"] = Figure("distance", day.ours, day.steps)
        found[f"greatest speed, {name}"] = Figure("speed", day.speed)
    return found
