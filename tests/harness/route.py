"""Drives over the map of Helsinki: where a vehicle truly is, second by second."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

# The part of Helsinki that the map covers.
WEST, EAST, SOUTH, NORTH = 24.9355, 24.9530, 60.1645, 60.1788
SLOWEST = 5.0  # metres a second, on the average of a route
METRES_A_DEGREE = 111_195.0  # of latitude
MOST_PLACES = 2000  # that are tried for one route


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
    places = []
    answer = {"duration": 0}
    # More than is needed: the route's duration counts turns, which the steps below leave out.
    for _ in range(MOST_PLACES):
        if answer["duration"] >= 1.5 * seconds:
            break
        places.append((chance.uniform(WEST, EAST), chance.uniform(SOUTH, NORTH)))
        if len(places) < 2:
            continue
        query = ";".join(f"{longitude:.6f},{latitude:.6f}" for longitude, latitude in places)
        found = osrm.get(
            f"/route/v1/driving/{query}?overview=full&geometries=geojson&annotations=duration")
        if found["code"] == "Ok" and found["routes"][0]["distance"] > SLOWEST * found["routes"][0]["duration"]:
            answer = found["routes"][0]
        else:
            # One of the two lies where no way leads to or from, or in a yard where all drive at a walk.
            del places[-2:]
    else:
        raise RuntimeError(f"no route of {seconds} s after {MOST_PLACES} places")
    steps = [step for leg in answer["legs"] for step in leg["annotation"]["duration"]]
    reached = list(accumulate([0.0, *steps]))
    vertices = [tuple(vertex) for vertex in answer["geometry"]["coordinates"]]
    route = Route([vertices[0]], [0.0])
    for vertex, time in zip(vertices[1:], reached[1:]):
        # Where a route passes a place that was asked for, a vertex is there twice and no time passes.
        if time > route.times[-1]:
            route.vertices.append(vertex)
            route.times.append(time)
    return route
