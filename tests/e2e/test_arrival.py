"""However points arrive, the paths are those of one clean insert."""

import random
from datetime import timedelta

import pytest

from drives import drive, insert, paths, process_all, recent_window, stops

START = recent_window(minutes_ago=60)
SECONDS = 14 * 60  # over three windows


@pytest.fixture
def fixes(osrm):
    return drive(osrm, START, SECONDS)


@pytest.fixture
def clean(cluster, db, fixes):
    """What one clean insert and one run leave; the tables are empty again afterwards."""
    insert(db, "car", fixes)
    process_all(db)
    outcome = paths(db), stops(db)
    assert outcome[0] and all(row[-2] == "matched" for row in outcome[0])
    db.rows("TRUNCATE gps_coordinates, processing_batches, known_seams, cached_polylines, stops")
    return outcome


def outcome(db):
    process_all(db)
    return paths(db), stops(db)


def test_out_of_order(db, fixes, clean):
    shuffled = list(fixes)
    random.Random(2).shuffle(shuffled)
    insert(db, "car", shuffled)
    assert outcome(db) == clean


def test_minute_by_minute_with_a_run_after_each(db, fixes, clean):
    for minute in range(SECONDS // 60):
        begin = START + timedelta(minutes=minute)
        insert(db, "car", [fix for fix in fixes if begin <= fix[2] < begin + timedelta(minutes=1)])
        process_all(db)
    assert outcome(db) == clean


def test_late_points_reopen_their_windows(db, fixes, clean):
    late = fixes[10:20] + fixes[70:75]
    insert(db, "car", [fix for fix in fixes if fix not in late])
    process_all(db)
    for fix in reversed(late):
        insert(db, "car", [fix])
        process_all(db)
    assert outcome(db) == clean


def test_a_first_half_that_comes_last(db, fixes, clean):
    half = len(fixes) // 2
    insert(db, "car", fixes[half:])
    process_all(db)
    insert(db, "car", fixes[:half])
    assert outcome(db) == clean


def test_everything_twice(db, fixes, clean):
    insert(db, "car", fixes)
    process_all(db)
    insert(db, "car", fixes)
    assert outcome(db) == clean


def test_equal_timestamps(db, fixes, clean):
    """A receiver that gives several readings the same second: one line, no second path."""
    start = fixes[0][2]
    doubled = list(fixes) + [
        (lon + 0.00001, lat, at) for lon, lat, at in fixes if (at - start).seconds % 15 == 0
    ]
    random.Random(3).shuffle(doubled)
    insert(db, "car", doubled)
    process_all(db)
    assert [row[1:3] for row in paths(db)] == [row[1:3] for row in clean[0]]
    assert all(row[-2] == "matched" for row in paths(db))
