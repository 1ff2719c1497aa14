"""Route mismatch: how far a matched line is from the true one (Newson and Krumm), by geometry alone.

Both lines are cut into steps of about a metre. A pass is an unbroken run of steps of a line that
comes within a tolerance of a place. Where the truth passes n times and the output only m < n times,
n - m passes are missing; where it passes m > n times, m - n are in excess. So a road that was driven
twice must be matched twice, and an out-and-back spike costs its length even on the right road.

The lengths of both kinds, as shares of the true length, are the mismatch.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from motion import Plane

TOLERANCE = 2.5  # metres; lines that end and begin so near to each other are one
STEP = 1.0  # metres
PAUSE = 2  # steps of a line may be missing inside a pass
BREAK = 10  # numbers left out between two lines that are not joined
CHUNK = 20_000  # places looked at in one go, to bound the memory


class Mismatch(NamedTuple):
    """Shares of the true length."""

    missing: float
    excess: float

    @property
    def total(self):
        return self.missing + self.excess


class Walk:
    """Lines cut into steps, numbered along the way; `lines` are in metres."""

    def __init__(self, lines):
        middles, lengths, numbers, used, end = [np.empty((0, 2))], [np.empty(0)], [np.empty(0, int)], 0, None
        for line in lines:
            middle, length = _steps(line)
            if not len(length):
                continue
            if end is not None and math.dist(end, line[0]) > TOLERANCE:
                used += BREAK
            end = line[-1]
            middles.append(middle)
            lengths.append(length)
            numbers.append(np.arange(used, used + len(length)))
            used += len(length)
        self.middles = np.concatenate(middles)
        self.lengths = np.concatenate(lengths)
        self._numbers = np.concatenate(numbers)
        self._tree = cKDTree(self.middles) if len(self.middles) else None

    @property
    def length(self):
        return self.lengths.sum()

    def passes(self, places):
        """How often the walk comes by each of the places."""
        parts = [self._passes(places[i : i + CHUNK]) for i in range(0, len(places), CHUNK)]
        return np.concatenate([np.empty(0, int), *parts])

    def distances(self, places):
        """Metres from each of the places to the walk."""
        return self._tree.query(places)[0] if self._tree else np.full(len(places), np.inf)

    def _passes(self, places):
        if self._tree is None:
            return np.zeros(len(places), int)
        near = cKDTree(places).sparse_distance_matrix(self._tree, TOLERANCE, output_type="ndarray")
        # One sortable key for each (place, step); from one place to the next it jumps far.
        stride = self._numbers[-1] + 1 + BREAK
        keys = np.sort(near["i"] * stride + self._numbers[near["j"]])
        begins = keys[np.diff(keys, prepend=-BREAK) > PAUSE]
        return np.bincount(begins // stride, minlength=len(places))


class Truth:
    """A true line, prepared to measure any number of outputs against."""

    def __init__(self, lines):
        self._plane = Plane(*lines[0][0])
        self._walk = self._walk_of(lines)
        self._own = self._walk.passes(self._walk.middles)

    def mismatch(self, lines):
        """Of the output; lists of lon/lat lines, possibly empty."""
        return self._mismatch(self._surpluses(self._walk_of(lines)))

    def mismatch_and_misled(self, lines, fixes):
        """The mismatch, and what share of the true length of it the fixes (longitude and latitude) brought about: there
        the nearest of them is nearer to the output than to the truth, by more than the tolerance. Whoever follows the
        fixes goes there."""
        output, fixes = self._walk_of(lines), self._plane.to_metres(fixes)
        misleading = output.distances(fixes) + TOLERANCE < self._walk.distances(fixes)
        nearest, surpluses = cKDTree(fixes), self._surpluses(output)
        found = (surplus[misleading[nearest.query(walk.middles)[1]]].sum()
                 for walk, surplus in zip((self._walk, output), surpluses))
        return self._mismatch(surpluses), float(sum(found) / self._walk.length)

    def _mismatch(self, surpluses):
        return Mismatch(*(float(surplus.sum() / self._walk.length) for surplus in surpluses))

    def _surpluses(self, output):
        """Of each step of the truth what is missing of it, of each of the output what of it is in excess, in metres."""
        return (_surplus(self._walk, self._own, output.passes(self._walk.middles)),
                _surplus(output, output.passes(output.middles), self._walk.passes(output.middles)))

    def _walk_of(self, lines):
        return Walk([self._plane.to_metres(line) for line in lines if len(line) > 1])


def _steps(line):
    """Middles and lengths of the steps of one line."""
    legs = np.diff(line, axis=0)
    metres = np.hypot(*legs.T)
    moves = metres > 0
    starts, legs, metres = line[:-1][moves], legs[moves], metres[moves]
    counts = np.ceil(metres / STEP).astype(int)
    leg = np.repeat(np.arange(len(legs)), counts)
    within = np.arange(len(leg)) - np.repeat(np.cumsum(counts) - counts, counts)
    share = (within + 0.5) / counts[leg]
    return starts[leg] + legs[leg] * share[:, None], metres[leg] / counts[leg]


def _surplus(walk, own, other):
    """Metres of each step's passes that the other line lacks."""
    return walk.lengths * np.maximum(0, own - other) / np.maximum(1, own)
