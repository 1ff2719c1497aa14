#!/usr/bin/env python3
"""Synthetic drives with known truth over the map of a running OSRM.

    drives.py --osrm http://127.0.0.1:5000 --out DIR [--seed N] [--drives N]

The truth is made of OSRM's own routes: tours of several stretches over random places. Within a
stretch the vehicle turns round at most once, in a dead end; between two it visits a place and leaves
in whatever direction is shorter, so roads are driven out and back as deliveries do.

One file `<cell>.json` is written for each cell, that is for each interval, noise and character:

    {"cell": {"interval": 5, "noise": 10, "correlated": false, "rough": true},
     "drives": [{"id": "d00", "truth": [[[lon, lat], ...], ...], "fixes": [[epoch, lon, lat], ...],
                 "top_speed": 13.9}]}

Every cell holds the same tours. `rough` ones also park for some minutes, fall silent, teleport,
and send fixes twice or (at 1 s) with equal times. The same seed and map give the same files.
"""

import argparse
import itertools
import json
import pathlib
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

import sensor
from motion import Plane, Ride, bends

BOX = (24.930, 60.163, 24.955, 60.180)  # of Helsinki.osm.pbf
CENTRE = [24.94592, 60.16759]  # on a street that is joined to most others
EPOCH = 1_767_600_000  # 2026-01-05 08:00:00 UTC
SEED, TOURS = 1, 6  # those that the kept table is of: tours in each cell
MINUTES = (15, 30)  # that a tour should last
INTERVALS = (1, 5, 15, 30, 60)
NOISES = (0, 5, 10, 20)
HASTE = (1.0, 1.5)  # times the speed that the map promises, which is low in a city
TURN_ROUND = 150  # degrees
LIGHT_SHARE = 0.15  # of crossings that show red
LIGHT_SECONDS = (10, 40)
LIGHT_DISTANCE = 8.0  # metres before the crossing where the vehicle stands
VISIT_SECONDS = (15, 60)
PARKED_SECONDS = (180, 480)


@dataclass(frozen=True)
class Cell:
    """One way of recording the tours."""

    interval: int
    noise: int
    correlated: bool
    rough: bool

    @property
    def name(self):
        kind = "correlated" if self.correlated else "white"
        return f"{self.interval:02}s-{self.noise:02}m-{kind}-{'rough' if self.rough else 'clean'}"


class Drive(NamedTuple):
    """A tour as one device recorded it."""

    cell: Cell
    device: str
    truth: list
    fixes: list
    top_speed: float  # m/s, over a second


def cells():
    """All cells. Without noise there is nothing to be correlated."""
    for rough, interval, noise in itertools.product((False, True), INTERVALS, NOISES):
        for correlated in (False, True) if noise else (False,):
            yield Cell(interval, noise, correlated, rough)


class Tour:
    """Where a vehicle drives and what holds it up, before anyone records it."""

    def __init__(self, osrm, rng):
        self.plane = Plane((BOX[0] + BOX[2]) / 2, (BOX[1] + BOX[3]) / 2)
        self.truth, self._limits, self._crossings, self._visits = [], [], [], []
        self._haste = rng.uniform(*HASTE)
        target, seconds, place = rng.uniform(*MINUTES) * 60, 0.0, _somewhere(osrm, rng)
        while seconds < target:
            vias = [place] + [_somewhere(osrm, rng) for _ in range(rng.integers(2, 5))]
            route = _route(osrm, vias)
            if route and self._turns_round(route) < 2:
                place = route["legs"][-1]["steps"][-1]["maneuver"]["location"]
                seconds += 1.4 * route["duration"]
                self._append(route)
        self._lights = [
            (max(0.0, at - LIGHT_DISTANCE), rng.uniform(*LIGHT_SECONDS))
            for at in self._crossings
            if rng.random() < LIGHT_SHARE
        ]
        self._visit_seconds = rng.uniform(*VISIT_SECONDS, len(self._visits))
        self._parked_seconds = rng.uniform(*PARKED_SECONDS, len(self._visits))

    def ride(self, parked):
        """The tour as driven; `parked`: its visits last for minutes."""
        seconds = self._parked_seconds if parked else self._visit_seconds
        halts = self._lights + list(zip(self._visits, seconds))
        return Ride(self.plane.to_metres(self.truth), self._limits, halts)

    def _turns_round(self, route):
        """How often: streets that the map cuts off are dead ends, between which OSRM may send a
        vehicle to and fro, as nobody drives."""
        line = self.plane.to_metres(route["geometry"]["coordinates"])
        return (bends(line) > TURN_ROUND).sum()

    def _append(self, route):
        line = route["geometry"]["coordinates"]
        if self.truth:
            self._visits.append(self._length())
            line = line if line[0] != self.truth[-1] else line[1:]
        before, first = self._length(), len(self.truth)
        self.truth += line
        crossings = {tuple(at["location"]) for at in _intersections(route) if len(at["bearings"]) > 2}
        along = self._along()
        self._crossings += [along[i] for i in range(first, len(along)) if tuple(self.truth[i]) in crossings]
        noted = [leg["annotation"] for leg in route["legs"]]
        lengths = np.concatenate([note["distance"] for note in noted])
        speeds = np.concatenate([note["speed"] for note in noted])
        scale = (along[-1] - before) / lengths.sum()
        starts = before + scale * (np.cumsum(lengths) - lengths)
        self._limits += list(zip(starts, np.maximum(speeds * self._haste, 2.0)))

    def _along(self):
        steps = np.diff(self.plane.to_metres(self.truth), axis=0)
        return np.concatenate([[0.0], np.cumsum(np.hypot(*steps.T))])

    def _length(self):
        return self._along()[-1] if len(self.truth) > 1 else 0.0


def _somewhere(osrm, rng):
    """A place that can be reached and left: some streets lead only out of a map so small."""
    while True:
        place = [rng.uniform(BOX[0], BOX[2]), rng.uniform(BOX[1], BOX[3])]
        if _route(osrm, [CENTRE, place]) and _route(osrm, [place, CENTRE]):
            return place


def _route(osrm, vias):
    """OSRM's route over the places, `None` if there is none, or none without a tunnel: there no device
    hears satellites, and below this town lies another, of service tunnels."""
    path = ";".join(f"{lon:.6f},{lat:.6f}" for lon, lat in vias)
    options = "overview=full&geometries=geojson&steps=true&annotations=distance,speed&continue_straight=true"
    try:
        with urllib.request.urlopen(f"{osrm}/route/v1/driving/{path}?{options}", timeout=30) as answer:
            route = json.load(answer)["routes"][0]
    except urllib.error.HTTPError as refusal:
        if json.load(refusal)["code"] != "NoRoute":
            raise
        return None
    return None if any("tunnel" in at.get("classes", []) for at in _intersections(route)) else route


def _intersections(route):
    return [at for leg in route["legs"] for step in leg["steps"] for at in step["intersections"]]


def tours(osrm, seed, count):
    """The tours that belong to a seed."""
    return [Tour(osrm, np.random.default_rng([seed, number])) for number in range(count)]


def drives(tours, cell, seed):
    """The tours as the device of this cell records them, ready to be written as JSON."""
    recorded = []
    for number, tour in enumerate(tours):
        rng = np.random.default_rng([seed, number, cell.interval, cell.noise, cell.correlated, cell.rough])
        ride = tour.ride(cell.rough)
        fixes = sensor.record(ride, cell.interval, cell.noise, cell.correlated, rng)
        if cell.rough:
            fixes = sensor.spoil(fixes, cell.interval, rng)
        # Tours begin at different seconds of an hour, so that windows cut them anywhere.
        start = EPOCH + int(np.random.default_rng([seed, number, 1]).integers(0, 3600))
        places = tour.plane.to_degrees(fixes[:, 1:]).round(6)
        recorded.append({
            "id": f"d{number:02}",
            "truth": [tour.truth],
            "fixes": [[start + int(t), *place] for t, place in zip(fixes[:, 0], places.tolist())],
            "top_speed": ride.top_speed(),
        })
    return recorded


def fleet(osrm, cells, seed=SEED, count=TOURS):
    """All tours in each of the cells, one device for each drive."""
    made = tours(osrm, seed, count)
    return [
        Drive(cell, f"{cell.name}-{drive['id']}", drive["truth"], drive["fixes"], drive["top_speed"])
        for cell in cells
        for drive in drives(made, cell, seed)
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--osrm", required=True, help="base URL of a running osrm-routed")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder to write into")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--drives", type=int, default=TOURS, help="tours in each cell")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    made = tours(args.osrm, args.seed, args.drives)
    for cell in cells():
        content = {"cell": asdict(cell), "drives": drives(made, cell, args.seed)}
        (args.out / f"{cell.name}.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main()
