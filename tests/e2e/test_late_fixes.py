"""Tables whose times are those of arrival, and devices that send places again: the line is that of the drive all the same."""

from datetime import timedelta

import pytest

from drives import drive, insert, process_all, recent_window

SECONDS = 1200
EVERY = 5


def moments(fixes, arrives):
    """The fixes with the times at which they arrive, in seconds since the start of the drive."""
    start = fixes[0][2]
    return [(lon, lat, start + timedelta(seconds=arrives((at - start).total_seconds()))) for lon, lat, at in fixes]


def held_back(second):
    """Nothing comes for a minute; then all within half a second."""
    return 460 + (second - 400) / 120 if 400 <= second < 460 else second


def once_a_minute(second):
    return (second // 60 + 1) * 60 + second % 60 / 120


def in_one_moment(second):
    """As rows of one transaction, whose now() is one."""
    return 460 if 400 <= second < 460 else second


def again(fixes, lag):
    return [*fixes] + [(lon, lat, at + timedelta(seconds=lag)) for lon, lat, at in fixes]


def twice(fixes):
    return again(fixes, 6)


def signs_of_life(fixes):
    """Each half a minute the last place with the present time."""
    return [*fixes] + [(lon, lat, at + timedelta(seconds=3)) for lon, lat, at in fixes[::6]]


# How the fixes are told, and how many of them say nothing, at least and at most.
DISTURBED = {
    "held back": (lambda fixes: moments(fixes, held_back), 0, 2),
    "once a minute": (lambda fixes: moments(fixes, once_a_minute), 0, 12),
    "in one moment": (lambda fixes: moments(fixes, in_one_moment), 0, 2),
    "twice": (twice, 180, 240),
    "signs of life": (signs_of_life, 15, 40),
}


@pytest.mark.parametrize("kind", DISTURBED)
def test_the_line_is_that_of_the_drive(db, osrm, kind):
    fixes = drive(osrm, recent_window(90), SECONDS, EVERY)
    insert(db, "as driven", fixes)
    disturb, fewest, most = DISTURBED[kind]
    insert(db, "as told", disturb(fixes))
    process_all(db)
    lines = dict(db.rows("SELECT device_id, sum(length_m) FROM cached_polylines GROUP BY device_id"))
    # Of what comes once a minute, the first minute may lie before the window.
    slack = 0.1 if kind == "once a minute" else 0.02
    assert lines["as told"] == pytest.approx(lines["as driven"], rel=slack)
    assert db.rows("SELECT DISTINCT match_status FROM cached_polylines") == [("matched",)]
    counts = db.rows("""
        SELECT b.device_id, sum(b.coordinate_count), sum(b.duplicate_count + b.outlier_count),
               (SELECT sum(p.source_coordinates_count) FROM cached_polylines p WHERE p.device_id = b.device_id),
               (SELECT coalesce(sum(s.source_coordinates_count), 0) FROM stops s WHERE s.device_id = b.device_id)
          FROM processing_batches b GROUP BY b.device_id""")
    for device, read, dropped, drawn, stood in counts:
        assert read == dropped + drawn + stood, device
        assert device == "as driven" or fewest <= dropped <= most
