"""Random histories, as hostile as they come: whatever the order and slicing of inserts, runs, faults
and cancels, the end is that of one clean insert. A seed that fails fails again.

HISTORIES=500 in the environment tries so many.
"""

import os
import random
from datetime import timedelta

import psycopg2
import pytest

from drives import drive, insert, paths, process_all, recent_window, stops
from harness.fault_server import FaultServer
from harness.outcome import decided, leftovers

START = recent_window(100, length=60)
SECONDS = 20 * 60
RESET = "TRUNCATE gps_coordinates, cached_polylines, stops, processing_batches, known_seams, worker_runs"


def fleet(osrm, chance):
    """(device, fix) of a few drives with holes, standstills, noise, jumps, echoes and strangers."""
    points = []
    for number in range(chance.randint(1, 3)):
        device = f"car-{number}"
        interval = chance.choice([1, 3, 5, 10, 20, 45])
        fixes = list(drive(osrm, START, SECONDS, interval=interval, noise=chance.choice([0, 4, 15]),
                           seed=chance.randrange(4)))
        if chance.random() < 0.6:  # it stands for a while, where it is
            begin, length = chance.randrange(len(fixes)), chance.randint(60, 600) // interval
            for n in range(begin + 1, min(begin + length, len(fixes))):
                fixes[n] = (*fixes[begin][:2], fixes[n][2])
        if chance.random() < 0.6:  # it is silent for a while
            begin = chance.randrange(len(fixes))
            del fixes[begin:begin + chance.randint(20, 500) // interval]
        for n in range(len(fixes)):
            odd = chance.random()
            longitude, latitude, moment = fixes[n]
            if odd < 0.01:
                fixes[n] = (0.0, 0.0, moment)
            elif odd < 0.02:
                fixes[n] = (latitude, longitude, moment)
            elif odd < 0.03:
                fixes[n] = (longitude + chance.uniform(-0.05, 0.05), latitude, moment)
            elif odd < 0.05:
                fixes.append((longitude, latitude, moment + timedelta(milliseconds=chance.randint(0, 999))))
            elif odd < 0.07:
                fixes.append((longitude + 0.00002, latitude, moment))
        points += [(device, fix) for fix in fixes]
    return points


def insert_all(db, points):
    for device in {device for device, _ in points}:
        insert(db, device, [fix for owner, fix in points if owner == device])


def slices(points, chance):
    """The points in some order, in some pieces."""
    points = list(points)
    order = chance.choice(["by time", "shuffled", "backwards", "nearly"])
    if order == "shuffled":
        chance.shuffle(points)
    else:
        late = 120 if order == "nearly" else 0
        points.sort(key=lambda p: p[1][2] + timedelta(seconds=chance.uniform(0, late)), reverse=order == "backwards")
    while points:
        size = chance.choice([1, 5, 30, 100, 1000])
        yield points[:size]
        points = points[size:]


def disturb(db, faults, chance):
    """A run of some kind, that may be cut short, spoilt or taken back."""
    faults.fault, faults.delay = chance.choice(["forward"] * 4 + ["slow", "error_502"]), 0.01
    kind = chance.choice(["small", "procedure", "cut short", "taken back", "by hand", "none"])
    if kind == "small":
        db.rows("SELECT * FROM process_pending_gps(%s)", (chance.randint(1, 6),))
    elif kind == "procedure":
        db.rows("CALL process_pending(30, %s)", (chance.randint(1, 4),))
    elif kind == "cut short":
        try:
            db.rows(f"SET statement_timeout = {chance.randint(1, 40)}; SELECT * FROM process_pending_gps()")
        except psycopg2.errors.QueryCanceled:
            pass
        db.rows("RESET statement_timeout")
    elif kind == "taken back":
        db.rows("BEGIN; SELECT * FROM process_pending_gps(); ROLLBACK")
    elif kind == "by hand":
        db.rows("SELECT make_batches(3); SELECT * FROM match_batches(ARRAY(SELECT claim_batches(2)))")
    faults.fault = "forward"


@pytest.fixture(scope="module")
def faults(osrm):
    with FaultServer(upstream=osrm) as server:
        yield server


@pytest.mark.parametrize("seed", range(int(os.environ.get("HISTORIES", 12))))
def test_every_history_ends_alike(db, osrm, faults, seed):
    chance = random.Random(seed)
    db.set("osrm_matcher.osrm_url", faults.url)
    db.set("osrm_matcher.look_back", "30d")
    db.set("osrm_matcher.window", chance.choice(["5min", "5min", "1min", "15min"]))
    points = fleet(osrm, chance)
    insert_all(db, points)
    process_all(db)
    assert leftovers(db) == {}
    expected = decided(db)
    db.rows(RESET)

    for piece in slices(points, chance):
        insert_all(db, piece)
        if chance.random() < 0.5:
            disturb(db, faults, chance)
    process_all(db)
    assert leftovers(db) == {}
    assert decided(db) == expected


def test_another_window_length_and_back(db, osrm):
    """Each length has its own outcome; coming back to one brings its outcome back."""
    insert(db, "car", drive(osrm, START, SECONDS, seed=1))
    outcomes = {}
    for length in ("5min", "15min", "1min", "5min", "1h", "15min"):
        db.set("osrm_matcher.window", length)
        db.rows("SELECT start_rematch(now() - interval '5 hours', now())")
        process_all(db)
        assert leftovers(db) == {}
        shown = paths(db), stops(db)
        assert outcomes.setdefault(length, shown) == shown
