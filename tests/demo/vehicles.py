"""Twenty vehicles that drive over Helsinki, each with a habit that real fleets have."""

import math
import random
from dataclasses import dataclass, field

from harness.route import Route, moved, random_route

# name, seconds between fixes, habit
FLEET = [
    ("bus-1", 1, "a fix every second"),
    ("bus-2", 1, "stops at lights"),
    ("bus-3", 2, "stops at lights"),
    ("bus-4", 2, "drives through a tunnel"),
    ("taxi-1", 5, "drives"),
    ("taxi-2", 5, "drives"),
    ("taxi-3", 5, "stops at lights"),
    ("taxi-4", 5, "sends everything twice"),
    ("taxi-5", 5, "sends late and out of order"),
    ("taxi-6", 5, "drives through a tunnel"),
    ("van-1", 10, "drives"),
    ("van-2", 10, "stops at lights"),
    ("van-3", 10, "sends everything twice"),
    ("van-4", 10, "sends late and out of order"),
    ("van-5", 3, "has a poor receiver"),
    ("courier-1", 3, "drives"),
    ("courier-2", 3, "stops at lights"),
    ("courier-3", 4, "has a poor receiver"),
    ("ferry-1", 5, "is where no road is"),
    ("parked-1", 5, "is parked"),
]

TUNNEL = (70, 110)  # seconds of the drive without a fix
LIGHTS = [(30, 55), (95, 115), (150, 185)]  # seconds of standing still
LATE_EVERY = 20  # a late sender empties its memory this often


@dataclass
class Fix:
    device: str
    longitude: float
    latitude: float
    seconds: float  # since the start of the drive


@dataclass
class Vehicle:
    name: str
    interval: int
    habit: str
    route: Route
    chance: random.Random
    noise: float = 4.0
    held: list = field(default_factory=list)
    drift: tuple = (0.0, 0.0)

    @property
    def moves(self):
        return self.habit != "is parked"

    def tick(self, second):
        """The fixes that arrive from this vehicle at this second of the drive."""
        fixes = []
        if second % self.interval == 0 and not self._is_silent(second):
            fixes.append(self._fix(second))
        if self.habit == "sends everything twice":
            return fixes * 2
        if self.habit == "sends late and out of order":
            self.held += fixes
            if second % LATE_EVERY != 0:
                return []
            fixes, self.held = self.held, []
            self.chance.shuffle(fixes)
        return fixes

    def last_words(self):
        """What a late sender still holds when the drive ends."""
        fixes, self.held = self.held, []
        return fixes

    def _is_silent(self, second):
        return self.habit == "drives through a tunnel" and TUNNEL[0] <= second < TUNNEL[1]

    def _driven(self, second):
        """Seconds of driving among the seconds that have passed."""
        if self.habit != "stops at lights":
            return second
        return second - sum(max(0, min(second, end) - begin) for begin, end in LIGHTS)

    def _fix(self, second):
        # Errors of a receiver change slowly: a part of the last one stays in the next.
        kept = math.exp(-self.interval / 15)
        fresh = self.noise * math.sqrt(1 - kept * kept)
        self.drift = tuple(kept * old + self.chance.gauss(0, fresh) for old in self.drift)
        place = self.route.at(self._driven(second))
        return Fix(self.name, *moved(place, *self.drift), second)


def make_fleet(osrm, seconds, seed=20):
    """The fleet, each vehicle with a route that lasts at least `seconds`. The same at every run."""
    chance = random.Random(seed)
    return [_make_vehicle(osrm, seconds, chance, *line) for line in FLEET]


def _make_vehicle(osrm, seconds, chance, name, interval, habit):
    if habit == "is where no road is":
        route = _at_sea(seconds)
    else:
        route = random_route(osrm, seconds, chance)
        if habit == "is parked":
            route = Route(route.vertices[:1], route.times[:1])
    noise = 12.0 if habit == "has a poor receiver" else 4.0
    return Vehicle(name, interval, habit, route, random.Random(chance.random()), noise)


def _at_sea(seconds):
    """A straight course at 6 m/s, kilometres away from the nearest road of the map."""
    start = (24.985, 60.10)
    return Route([start, moved(start, 0, 6.0 * seconds)], [0.0, float(seconds)])
