"""What a receiver says of its course is asked of OSRM where the way bears it out, and else does nothing."""

import math
import random

import pytest

from drives import drive, insert, process_all, recent_window
from harness.fault_server import FaultServer

START = recent_window(60)


@pytest.fixture
def seen(db, osrm):
    """The real OSRM, with its requests on record."""
    with FaultServer(upstream=osrm) as server:
        db.set("osrm_matcher.osrm_url", server.url)
        yield server


def true_courses(fixes):
    """From the fix before each to the one after it."""
    around = zip(fixes[:1] + fixes, fixes[1:] + fixes[-1:])
    return [math.degrees(math.atan2((b[0] - a[0]) * math.cos(math.radians(a[1])), b[1] - a[1])) for a, b in around]


def report(db, fixes, courses, speed=8):
    """A car that says so, beside one that drives the same and says nothing."""
    insert(db, "silent", fixes)
    insert(db, "car", fixes)
    for fix, course in zip(fixes, courses):
        db.rows("UPDATE gps_coordinates SET course = %s, speed = %s WHERE device_id = 'car' AND recorded_at = %s",
                (course, speed, fix[2]))
    process_all(db)


def lines(db, device):
    return db.rows("SELECT start_time, end_time, match_status, encoded_polyline FROM cached_polylines"
                   " WHERE device_id = %s ORDER BY start_time", (device,))


def test_courses_that_the_way_bears_out_are_asked_for(db, osrm, seen):
    fixes = drive(osrm, START, 600)
    report(db, fixes, true_courses(fixes))
    assert any("&bearings=" in target for target in seen.matches())
    assert {status for *_, status, _ in lines(db, "car")} == {"matched"}


@pytest.mark.parametrize("wrong", [
    lambda true: 0.0, lambda true: 180.0, lambda true: -180.0, lambda true: math.nan, lambda true: math.inf,
    lambda true: 1e300, lambda true: None, lambda true: true + 180, lambda true: random.Random(true).uniform(0, 360),
], ids=["0", "180", "-180", "NaN", "Infinity", "1e300", "null", "the wrong way round", "random"])
def test_others_change_nothing(db, osrm, seen, wrong):
    fixes = drive(osrm, START, 600)
    report(db, fixes, list(map(wrong, true_courses(fixes))))
    assert lines(db, "car") == lines(db, "silent") != []
    assert not any("&bearings=" in target for target in seen.matches())


@pytest.mark.parametrize("speed", [None, 0, 2.9, -1, math.nan, math.inf])
def test_a_vehicle_that_may_stand_has_none(db, osrm, seen, speed):
    fixes = drive(osrm, START, 300)
    report(db, fixes, true_courses(fixes), speed)
    assert lines(db, "car") == lines(db, "silent") != []
    assert not any("&bearings=" in target for target in seen.matches())


def test_adopted_tables_may_have_them(db, osrm, seen):
    db.rows("CREATE TABLE tracks (dev text, t timestamptz, lon real, lat real, heading integer, speed numeric)")
    fixes = drive(osrm, START, 600)
    for (lon, lat, at), course in zip(fixes, true_courses(fixes)):
        db.rows("INSERT INTO tracks VALUES ('car', %s, %s, %s, %s, 8)", (at, lon, lat, round(course)))
    db.rows("""SELECT * FROM adopt_source('tracks', device_column => 'dev', time_column => 't', longitude_column => 'lon',
                                          latitude_column => 'lat', course_column => 'heading', speed_column => 'speed')""")
    process_all(db)
    assert any("&bearings=" in target for target in seen.matches())
