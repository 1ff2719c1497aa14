"""The comparer can fail: it sees every difference that it is there for, and no other."""

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.outcome import COLUMNS  # noqa: E402
from storm.compare import compare  # noqa: E402

NOON = datetime(2026, 3, 3, 12, tzinfo=timezone.utc)
FIVE, HOUR = timedelta(minutes=5), timedelta(hours=1)


def at(minute):
    return NOON + timedelta(minutes=minute)


def row(part, **values):
    values["device_id"] = "car"
    return tuple(values.get(name) for name in COLUMNS[part])


def batch(minute, length=FIVE, **values):
    return row("batches", **{"start_time": at(minute), "end_time": at(minute) + length, "status": "completed",
                             "coordinate_count": 10, **values})


def path(minute, **values):
    return row("paths", **{"start_time": at(minute), "end_time": at(minute + 4), "encoded_polyline": "abc",
                           "match_status": "matched", **values})


def stop(minute, **values):
    return row("stops", **{"start_time": at(minute), "end_time": at(minute + 1), "longitude": 25.0, **values})


def state(batches=(), paths=(), stops=()):
    return {"batches": list(batches), "paths": list(paths), "stops": list(stops)}


DRIVE = state([batch(0), batch(5)], [path(0), path(5)], [stop(9)])


def test_what_is_equal_is_not_wrong():
    assert compare(DRIVE, {FIVE: DRIVE}) == []


@pytest.mark.parametrize(("part", "changed", "word"), [
    ("paths", path(5, encoded_polyline="abd"), "encoded_polyline is abd, from scratch abc"),
    ("paths", path(5, match_status="raw", reason="NoMatch"), "match_status is raw"),
    ("paths", path(5, end_time=at(8)), "end_time is"),
    ("stops", stop(9, longitude=25.0000001), "longitude is"),
    ("batches", batch(5, coordinate_count=9), "coordinate_count is 9"),
    ("batches", batch(5, status="failed"), "status is failed"),
])
def test_a_row_that_differs_is_named_with_its_columns(part, changed, word):
    stormy = {**DRIVE, part: DRIVE[part][:-1] + [changed]}
    (wrong,) = compare(stormy, {FIVE: DRIVE})
    assert word in wrong


@pytest.mark.parametrize("part", ["paths", "stops"])
def test_a_row_that_is_missing_or_too_many_is_named(part):
    (wrong,) = compare({**DRIVE, part: DRIVE[part][:-1]}, {FIVE: DRIVE})
    assert "is missing" in wrong
    (wrong,) = compare(DRIVE, {FIVE: {**DRIVE, part: DRIVE[part][:-1]}})
    assert "too many" in wrong


def test_a_path_of_another_window_does_not_pass_for_that_of_its_own():
    moved = {**DRIVE, "paths": [path(0), path(6)]}
    assert len(compare(moved, {FIVE: DRIVE})) == 2


def test_paths_that_lie_in_no_window_and_windows_that_overlap_are_wrong():
    (outside,) = compare(state([batch(0)], [path(0), path(5)]), {FIVE: state([batch(0)], [path(0)])})
    assert "lies in no window" in outside
    over = state([batch(0, HOUR), batch(5)], [path(0), path(5)])
    wrong = compare(over, {FIVE: state([batch(0), batch(5)], [path(0), path(5)]),
                           HOUR: state([batch(0, HOUR)], [path(0)])})
    assert any("overlap" in line for line in wrong)


def test_each_window_is_compared_with_one_of_its_own_length():
    mixed = state([batch(0), batch(60, HOUR)], [path(0), path(60)])
    scratch = {
        FIVE: state([batch(0), batch(60), batch(65)], [path(0), path(60, end_time=at(62))]),
        HOUR: state([batch(0, HOUR), batch(60, HOUR)], [path(0, end_time=at(30)), path(60)]),
    }
    assert compare(mixed, scratch) == []
    assert "no length that was set" in compare(mixed, {FIVE: scratch[FIVE]})[0]


def test_an_empty_window_need_not_be_there_from_scratch_and_must_hold_nothing():
    empty = state([batch(0), batch(5, coordinate_count=0)], [path(0)])
    scratch = state([batch(0)], [path(0)])
    assert compare(empty, {FIVE: scratch}) == []
    stale = {**empty, "paths": [path(0), path(5)]}
    (wrong,) = compare(stale, {FIVE: scratch})
    assert "too many" in wrong


def test_a_joined_stop_holds_what_there_is_from_scratch():
    scratch = state([batch(0), batch(5)], [], [stop(3, end_time=at(5)), stop(5, end_time=at(9))])
    joined = stop(3, end_time=at(9))
    stormy = {**scratch, "stops": [joined]}
    assert compare(stormy, {FIVE: scratch}, [joined[:3]]) == []
    assert compare(stormy, {FIVE: scratch}) != []
    assert compare({**scratch, "stops": [joined, stop(5, end_time=at(9))]}, {FIVE: scratch}, [joined[:3]]) != []
    beyond = stop(3, end_time=at(200))
    (wrong,) = compare({**scratch, "stops": [beyond]}, {FIVE: scratch}, [beyond[:3]])
    assert "joined" in wrong


def test_what_is_left_of_a_joined_stop_is_compared_with_windows_that_are_there():
    """Windows of an hour, which the device has none of, hold the stop as a whole."""
    left = stop(5, end_time=at(9))
    hours = state([batch(0, HOUR)], [], [stop(3, end_time=at(9))])
    fives = state([batch(0), batch(5)], [], [stop(3, end_time=at(5)), left])
    assert compare(fives, {FIVE: fives, HOUR: hours}, [left[:3]]) == []
    longer = stop(5, end_time=at(100))
    assert compare({**fives, "stops": [longer]}, {FIVE: fives, HOUR: hours}, [longer[:3]]) != []
