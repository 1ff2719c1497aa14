"""Twenty vehicles that drive over Helsinki, each with a habit that real fleets have."""

import math
import random
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate

# The part of Helsinki that the map covers.
WEST, EAST, SOUTH, NORTH = 24.9355, 24.9530, 60.1645, 60.1788
METRES_A_DEGREE = 111_195.0

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
    route: list  # (longitude, latitude), vertex by vertex
    times: list  # seconds at which each vertex is reached
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
        longitude, latitude = self._place(self._driven(second))
        # Errors of a receiver change slowly: a part of the last one stays in the next.
        kept = math.exp(-self.interval / 15)
        fresh = self.noise * math.sqrt(1 - kept * kept)
        self.drift = tuple(kept * old + self.chance.gauss(0, fresh) for old in self.drift)
        east, north = self.drift
        return Fix(
            self.name,
            longitude + east / (METRES_A_DEGREE * math.cos(math.radians(latitude))),
            latitude + north / METRES_A_DEGREE,
            second,
        )

    def _place(self, driven):
        index = bisect_right(self.times, driven) - 1
        if index >= len(self.route) - 1:
            return self.route[-1]
        span = self.times[index + 1] - self.times[index]
        part = (driven - self.times[index]) / span
        return tuple(a + (b - a) * part for a, b in zip(self.route[index], self.route[index + 1]))


def make_fleet(osrm, seconds, seed=20):
    """The fleet, each vehicle with a route that lasts at least `seconds`. The same at every run."""
    chance = random.Random(seed)
    return [_make_vehicle(osrm, seconds, chance, *line) for line in FLEET]


def _make_vehicle(osrm, seconds, chance, name, interval, habit):
    if habit == "is where no road is":
        route, times = _at_sea(seconds)
    else:
        route, times = _on_roads(osrm, seconds, chance)
        if habit == "is parked":
            route, times = route[:1], times[:1]
    noise = 12.0 if habit == "has a poor receiver" else 4.0
    return Vehicle(name, interval, habit, route, times, random.Random(chance.random()), noise)


def _on_roads(osrm, seconds, chance):
    """A route over random places, as long as is needed."""
    places = []
    route = {"duration": 0}
    # More than is needed: the route's duration counts turns, which the steps below leave out.
    while route["duration"] < 1.5 * seconds:
        places.append(_random_place(chance))
        if len(places) < 2:
            continue
        query = ";".join(f"{longitude:.6f},{latitude:.6f}" for longitude, latitude in places)
        answer = osrm.get(
            f"/route/v1/driving/{query}?overview=full&geometries=geojson&annotations=duration")
        if answer["code"] == "Ok":
            route = answer["routes"][0]
        else:
            places.clear()  # one of them lies where no way leads to
    steps = [step for leg in route["legs"] for step in leg["annotation"]["duration"]]
    # Where the route passes a place it was asked to pass, a vertex is there twice and no time passes.
    vertices = [tuple(vertex) for vertex in route["geometry"]["coordinates"]]
    reached = list(accumulate([0.0, *steps]))
    route, times = [vertices[0]], [0.0]
    for vertex, time in zip(vertices[1:], reached[1:]):
        if time > times[-1]:
            route.append(vertex)
            times.append(time)
    return route, times


def _random_place(chance):
    return chance.uniform(WEST, EAST), chance.uniform(SOUTH, NORTH)


def _at_sea(seconds):
    """A straight course at 6 m/s, kilometres away from the nearest road of the map."""
    north = 6.0 * seconds / METRES_A_DEGREE
    return [(24.985, 60.10), (24.985, 60.10 + north)], [0.0, float(seconds)]
