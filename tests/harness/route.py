"""Drives over the map of Helsinki: where a vehicle truly is, second by second."""

import math
from bisect import bisect_right
from dataclasses import dataclass

# The part of Helsinki that the map covers.
WEST, EAST, SOUTH, NORTH = 24.9355, 24.9530, 60.1645, 60.1788
SLOWEST = 3.0  # metres a second: below that it is a yard, where a receiver's noise outruns the vehicle
MOST_CRAWLED = 5.0  # seconds of that in a stretch
METRES_A_DEGREE = 111_195.0  # of latitude
MOST_FAILURES = 200


@dataclass
class Route:
    vertices: list  # (longitude, latitude)
    times: list  # seconds from the start at which each vertex is reached

    def at(self, seconds):
        """(longitude, latitude) after so many seconds; the last place after the end."""
        index = bisect_right(self.times, seconds) - 1
        if index >= len(self.vertices) - 1:
            return self.vertices[-1]
        span = self.times[index + 1] - self.times[index]
        part = (seconds - self.times[index]) / span
        return tuple(
            a + (b - a) * part for a, b in zip(self.vertices[index], self.vertices[index + 1])
        )


def moved(place, east, north):
    """A place some metres away."""
    longitude, latitude = place
    return (
        longitude + east / (METRES_A_DEGREE * math.cos(math.radians(latitude))),
        latitude + north / METRES_A_DEGREE,
    )


def random_route(osrm, seconds, chance):
    """A route over random places that lasts at least so many seconds at the map's speeds."""
    stretches = []
    failures = 0
    while sum(sum(steps) for _, steps in stretches) < seconds:
        driven = stretches[-1][0] if stretches else []
        found = _stretch(osrm, driven, [_random_place(chance) for _ in range(4)])
        if found is not None:
            stretches.append(found)
            continue
        failures += 1
        if failures > MOST_FAILURES:
            raise RuntimeError(f"no route of {seconds} s after {failures} failures")
        if stretches and failures % 5 == 0:
            stretches.pop()  # it may have led into a trap
    return _join(stretches)


def _random_place(chance):
    return chance.uniform(WEST, EAST), chance.uniform(SOUTH, NORTH)


def _stretch(osrm, driven, places):
    """The way from the end of what was driven over these places: its vertices and the seconds from each
    to the next. None where there is no way, or one through yards."""
    ahead = ""
    if driven:
        # Nobody turns on the spot: the way goes on in the direction of the last step.
        ahead = f"&bearings={_bearing(*driven[-2:])},45" + ";" * len(places)
        places = [driven[-1], *places]
    query = ";".join(f"{longitude:.6f},{latitude:.6f}" for longitude, latitude in places)
    answer = osrm.get(f"/route/v1/driving/{query}?overview=full&geometries=geojson&annotations=duration,distance{ahead}")
    if answer["code"] != "Ok":
        return None
    (route,) = answer["routes"]
    notes = [leg["annotation"] for leg in route["legs"]]
    steps = [step for note in notes for step in note["duration"]]
    lengths = [length for note in notes for length in note["distance"]]
    crawled = sum(step for step, length in zip(steps, lengths) if length < SLOWEST * step)
    if crawled > MOST_CRAWLED:
        return None
    return [tuple(vertex) for vertex in route["geometry"]["coordinates"]], steps


def _bearing(start, end):
    """Whole degrees from north, clockwise."""
    east = (end[0] - start[0]) * math.cos(math.radians(start[1]))
    return round(math.degrees(math.atan2(east, end[1] - start[1]))) % 360


def _join(stretches):
    route = Route([stretches[0][0][0]], [0.0])
    for vertices, steps in stretches:
        for vertex, step in zip(vertices[1:], steps):
            # Where a route passes a place that was asked for, a vertex is there twice and no time passes.
            if step > 0:
                route.vertices.append(vertex)
                route.times.append(route.times[-1] + step)
    return route
