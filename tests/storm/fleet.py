"""The points of a storm: a few vehicles, in three eras, in three tables. Pure; places come from routes later."""

from typing import NamedTuple

# An era is a stretch of time: how long its drives last, in seconds. Where on the clock it lies is the scene's.
ERAS = {"old": 720, "recent": 1800, "live": 900}
ROUTES = 4
# Whose points lie in which tables. The same vehicle may report to two of them.
DEVICES = {
    "car-0": ("gps_coordinates",),
    "car-1": ("gps_coordinates",),
    "bus": ("markers",),
    "7": ("positions",),
    "both": ("gps_coordinates", "markers"),
}


class Point(NamedTuple):
    source: str
    device: str
    era: str
    second: float  # of the era; no two points of a device and era have the same
    along: float  # seconds along the route
    route: int
    east: float  # metres beside it
    north: float
    accuracy: float | None


def points(chance, number=0):
    """All points that a storm may bring, by device and time. Fleets of other numbers have other vehicles."""
    found = []
    for device, sources in DEVICES.items():
        # One of the tables takes numbers only.
        name = str(int(device) + 10 * number) if device.isdigit() else f"{device}.{number}"
        for era, seconds in ERAS.items():
            if era == "recent" or chance.random() < 0.7:
                found += _drive(name, sources, era, seconds, chance)
    return found


def _drive(device, sources, era, seconds, chance):
    interval = chance.choice([3, 5, 10, 20])
    noise = chance.choice([0, 4, 15])
    accuracy = chance.choice([None, None, 5.0])
    route, begin = chance.randrange(ROUTES), chance.randrange(0, 300)
    stand = _some(seconds, chance, 60, 500)
    silence = _some(seconds, chance, 30, 600)
    for second in range(0, seconds, interval):
        if second in silence:
            continue
        stood = len(range(stand.start, min(stand.stop, second)))
        for copy in range(2 if chance.random() < 0.03 else 1):
            far = 3000 if chance.random() < 0.01 else 0
            yield Point(chance.choice(sources), device, era, second + copy * 0.25, begin + second - stood, route,
                        chance.gauss(0, noise) + far, chance.gauss(0, noise), accuracy)


def _some(seconds, chance, shortest, longest):
    """A span within so many seconds, or an empty one."""
    if chance.random() < 0.5:
        return range(0)
    begin = chance.randrange(seconds)
    return range(begin, begin + chance.randint(shortest, longest))
