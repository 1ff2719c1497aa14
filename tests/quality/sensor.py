"""What a GPS device makes of a ride: fixes at an interval, with noise and with faults.

Noise of `n` metres has that standard deviation in each of the two axes. White noise is drawn
anew for every fix; correlated noise is a Gauss-Markov process that forgets in 30 s, which is how
receivers err between houses.
"""

import math

import numpy as np

CORRELATION_SECONDS = 30.0
TELEPORT_SPEED = (100.0, 300.0)  # m/s, which no vehicle reaches
TELEPORT_METRES = 300.0  # at least
TELEPORT_SHARE = 0.005  # of the fixes, at least one
DUPLICATE_SHARE = 0.02
EQUAL_TIME_SHARE = 0.03
GAP_SECONDS = (20.0, 90.0)
GAPS = 2  # in a ride


def record(ride, interval, noise, correlated, rng):
    """Fixes (seconds, metres east, metres north) of a ride, the last one where it ends."""
    end = math.ceil(ride.duration)
    times = np.arange(0.0, end, interval)
    times = np.append(times[times < end], end)
    return np.column_stack([times, ride.at(times) + _error(times, noise, correlated, rng)])


def spoil(fixes, interval, rng):
    """The same fixes with silences, teleports, duplicates and, where dense, equal times."""
    fixes = _silence(fixes, rng)
    fixes = _teleport(fixes, interval, rng)
    if interval == 1:
        fixes = _blur_times(fixes, rng)
    return _repeat(fixes, rng)


def _error(times, noise, correlated, rng):
    white = rng.standard_normal((len(times), 2)) * noise
    if not correlated:
        return white
    keep = np.exp(-np.diff(times) / CORRELATION_SECONDS)
    error = white.copy()
    for i, k in enumerate(keep, start=1):
        error[i] = k * error[i - 1] + math.sqrt(1 - k * k) * white[i]
    return error


def _silence(fixes, rng):
    for _ in range(GAPS):
        start = rng.uniform(fixes[0, 0] + 60, fixes[-1, 0] - 150)
        silent = (fixes[:, 0] > start) & (fixes[:, 0] < start + rng.uniform(*GAP_SECONDS))
        fixes = fixes[~silent]
    return fixes


def _teleport(fixes, interval, rng):
    count = max(1, round(TELEPORT_SHARE * len(fixes)))
    for i in rng.choice(np.arange(1, len(fixes) - 1), count, replace=False):
        angle = rng.uniform(0, 2 * math.pi)
        distance = max(TELEPORT_METRES, interval * rng.uniform(*TELEPORT_SPEED))
        fixes[i, 1:] += distance * np.array([math.cos(angle), math.sin(angle)])
    return fixes


def _blur_times(fixes, rng):
    """Gives some fixes the time of the fix before them, as devices do that round to seconds."""
    late = rng.choice(np.arange(1, len(fixes)), round(EQUAL_TIME_SHARE * len(fixes)), replace=False)
    fixes[late, 0] = fixes[late - 1, 0]
    return fixes


def _repeat(fixes, rng):
    copies = fixes[rng.choice(len(fixes), math.ceil(DUPLICATE_SHARE * len(fixes)), replace=False)]
    together = np.vstack([fixes, copies])
    return together[np.argsort(together[:, 0], kind="stable")]
