"""What a page shows of a device whose points wait by the thousand, or whose clock was wrong for a moment."""

import time
from datetime import datetime, timedelta, timezone

from drives import drive, insert, process_all

POSITION = "SELECT longitude, latitude, standing, \"time\" < now() FROM get_device_positions('{bus}')"
AHEAD = timedelta(hours=20)


def seconds_of_a_tail(db, points):
    db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
               SELECT 'bus', 24.9 + n * 1e-5, 60.17, now() - n * interval '1 s' FROM generate_series(1, %s) n""", (points,))
    begin = time.monotonic()
    assert 900 < db.value("SELECT sum(point_count) FROM get_device_tail('bus')") < 1100
    return time.monotonic() - begin


def test_a_tail_of_many_points_costs_what_they_are(db):
    # To reckon the pace anew for each of them took half a minute.
    assert seconds_of_a_tail(db, 20_000) < 2


def wrong_for_a_moment(db, osrm):
    """A device that has driven, and of which one point says that it is of tomorrow."""
    fixes = drive(osrm, datetime.now(timezone.utc) - timedelta(minutes=6), 300)
    insert(db, "bus", [*fixes[:40], (25.5, 61.0, fixes[0][2] + AHEAD)])
    process_all(db)
    assert db.value("SELECT max(end_time) > now() + interval '19 h' FROM stops")
    return fixes


def test_a_point_of_tomorrow_does_not_hide_the_tail(db, osrm):
    fixes = wrong_for_a_moment(db, osrm)
    insert(db, "bus", fixes[40:])
    until = db.value("SELECT max(end_time) FROM get_device_tail('bus')")
    assert until == fixes[-1][2]
    assert db.value("SELECT get_device_page('bus', tail => true)")["paths"][-1]["match_status"] == "tail"


def test_a_point_of_tomorrow_is_not_where_a_device_is(db, osrm):
    wrong_for_a_moment(db, osrm)
    ((longitude, latitude, standing, is_over),) = db.rows(POSITION)
    assert (round(longitude), round(latitude), standing, is_over) == (25, 60, False, True)


def test_a_clock_that_is_a_little_ahead_is_believed(db):
    soon = datetime.now(timezone.utc) + timedelta(minutes=30)
    insert(db, "bus", [(24.94, 60.17, soon)])
    process_all(db)
    assert db.rows(POSITION) == [(24.94, 60.17, True, False)]
