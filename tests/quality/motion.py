"""How a vehicle moves along a line: where it is at every moment.

A `Ride` is built from a line and the limits that hold along it. It keeps to them, brakes for
bends, accelerates as a car does, and stands where it is told to.
"""

import math

import numpy as np

METRES_PER_DEGREE = 111_320.0
STEP = 1.0  # metres between the places where the speed is worked out
ACCELERATION, BRAKING = 1.5, 2.0  # m/s2
CREEP = 1.0  # m/s: the slowest that a moving vehicle goes
# The speed (m/s) that a bend of so many degrees allows.
BEND_DEGREES = [0, 15, 45, 90, 135, 180]
BEND_SPEED = [40, 20, 9, 5, 3, 1.5]


class Plane:
    """Metres east and north of a place, good for some kilometres around it."""

    def __init__(self, lon, lat):
        self.origin = np.array([lon, lat])
        self.scale = np.array([METRES_PER_DEGREE * math.cos(math.radians(lat)), METRES_PER_DEGREE])

    def to_metres(self, degrees):
        return (np.asarray(degrees, float) - self.origin) * self.scale

    def to_degrees(self, metres):
        return np.asarray(metres, float) / self.scale + self.origin


class Ride:
    """A drive along `line` (metres).

    `limits`: (distance from the start, m/s) pairs, each valid up to the next.
    `halts`: (distance from the start, seconds) pairs.
    """

    def __init__(self, line, limits, halts):
        self.line = line
        self.along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
        places = np.linspace(0.0, self.length, max(2, int(self.length / STEP) + 1))
        speed = self._speed(places, limits, halts)
        moving = np.diff(places) / np.maximum((speed[1:] + speed[:-1]) / 2, CREEP / 2)
        self._clock(places, np.concatenate([[0.0], np.cumsum(moving)]), halts)

    @property
    def length(self):
        return self.along[-1]

    @property
    def duration(self):
        return self._times[-1]

    def top_speed(self):
        """The greatest, in m/s, over a second."""
        return float(np.diff(np.interp(np.arange(0.0, self.duration), self._times, self._places)).max())

    def at(self, times):
        """Positions (metres) at the given seconds after the start."""
        return self.place(np.interp(times, self._times, self._places))

    def place(self, distances):
        """Positions (metres) at the given distances from the start."""
        return np.stack([np.interp(distances, self.along, self.line[:, k]) for k in (0, 1)], axis=-1)

    def _speed(self, places, limits, halts):
        starts, values = np.array(limits, float).T
        speed = values[np.searchsorted(starts, places, side="right") - 1]
        slow = np.interp(bends(self.line), BEND_DEGREES, BEND_SPEED)
        at_bend = np.searchsorted(places, self.along[1:-1])
        np.minimum.at(speed, np.minimum(at_bend, len(places) - 1), slow)
        for distance, _ in [(0.0, 0), (self.length, 0), *halts]:
            speed[np.argmin(np.abs(places - distance))] = 0.0
        step = places[1] - places[0]
        for i in range(1, len(speed)):
            speed[i] = min(speed[i], math.sqrt(speed[i - 1] ** 2 + 2 * ACCELERATION * step))
        for i in range(len(speed) - 2, -1, -1):
            speed[i] = min(speed[i], math.sqrt(speed[i + 1] ** 2 + 2 * BRAKING * step))
        return speed

    def _clock(self, places, times, halts):
        """Distances by time, where a halt is the same distance at two times."""
        order = sorted(halts)
        at = [int(np.argmin(np.abs(places - distance))) for distance, _ in order]
        for index, (_, seconds) in sorted(zip(at, order), reverse=True):
            times = np.concatenate([times[: index + 1], times[index:] + seconds])
            places = np.concatenate([places[: index + 1], places[index:]])
        self._times, self._places = times, places


def bends(line):
    """Degrees by which the line turns at each inner vertex."""
    heading = np.arctan2(*np.diff(line, axis=0).T[::-1])
    turn = np.abs(np.diff(heading))
    return np.degrees(np.minimum(turn, 2 * math.pi - turn))
