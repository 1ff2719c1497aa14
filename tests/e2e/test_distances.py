"""Kilometres and trips of real drives; fixed rows, edges and clock changes are in tests/regress/sql/distances.sql."""

from datetime import timedelta

import pytest
from drives import drive, insert, process_all, recent_window


BEGIN = recent_window(minutes_ago=120)
ALL = "'-infinity', 'infinity'"


@pytest.fixture
def driven(db, osrm):
    """A drive of half an hour, parked for twenty minutes in the middle of it."""
    fixes = drive(osrm, BEGIN + timedelta(seconds=70), seconds=1800)
    first, second, pause = fixes[:180], fixes[180:], timedelta(minutes=20)
    lon, lat, parked_at = first[-1]
    parked = [(lon, lat, parked_at + timedelta(seconds=20 * n)) for n in range(1, 60)]
    insert(db, "bus", [*first, *parked, *((lon, lat, at + pause) for lon, lat, at in second)])
    process_all(db)
    return db


def test_a_range_is_the_sum_of_its_parts(driven):
    whole = driven.row(f"SELECT * FROM get_device_distance('bus', {ALL})")
    assert whole["distance_m"] > 5000
    assert whole["distance_m"] == pytest.approx(whole["matched_m"] + whole["doubtful_m"] + whole["raw_m"])
    # Cut anywhere, also within paths.
    cut = BEGIN + timedelta(minutes=7, seconds=13)
    parts = [driven.row("SELECT * FROM get_device_distance('bus', %s, %s)", bounds)
             for bounds in [("-infinity", cut), (cut, cut + timedelta(minutes=1)), (cut + timedelta(minutes=1), "infinity")]]
    assert sum(part["distance_m"] for part in parts) == pytest.approx(whole["distance_m"])
    assert sum((part["driving_time"] for part in parts), timedelta()) == whole["driving_time"]
    by_day = driven.value(f"SELECT sum(distance_m) FROM get_distances('{{bus}}', {ALL}, time_zone => 'Asia/Kathmandu')")
    assert by_day == pytest.approx(whole["distance_m"])


def test_trips_go_from_stop_to_stop_whatever_the_windows(driven):
    trips = driven.rows(f"SELECT start_time, end_time, distance_m, encoded_polylines FROM get_device_trips('bus', {ALL})")
    assert len(trips) == 2
    (stop,) = driven.rows(f"SELECT start_time, end_time FROM get_device_stops('bus', {ALL})")
    assert trips[0][1] <= stop[0] < stop[1] <= trips[1][0]
    assert driven.value("SELECT count(*) FROM cached_polylines") > 4
    assert sum(trip[2] for trip in trips) == pytest.approx(driven.value("SELECT sum(length_m)::float8 FROM cached_polylines"))
    for _, _, metres, lines in trips:
        assert driven.value("SELECT sum(_line_length(line)) FROM unnest(%s) AS line", (lines,)) == pytest.approx(metres, rel=0.01)
        assert len(lines) == 1


def test_the_greatest_speed_is_what_a_vehicle_can_have_driven(driven):
    speed = driven.value(f"SELECT max_speed_mps FROM get_device_distance('bus', {ALL})")
    assert 5 < speed < 25
    assert driven.value("SELECT max(max_speed_mps) FROM cached_polylines") >= speed


def test_points_that_are_in_no_path_yet_count_nothing(driven, osrm):
    before = driven.row(f"SELECT * FROM get_device_distance('bus', {ALL})")
    insert(driven, "bus", drive(osrm, recent_window(minutes_ago=15), seconds=60))
    assert driven.rows("SELECT * FROM get_device_tail('bus')") != []
    assert driven.row(f"SELECT * FROM get_device_distance('bus', {ALL})") == before


def test_a_path_over_the_antimeridian_is_cut_as_any_other(db):
    """Along a parallel, so that a share of the time is the same share of the longitudes."""
    db.rows("""INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)
               VALUES ('ferry', '2026-05-04 10:00Z', '2026-05-04 10:10Z',
                       encode_polyline('{179.97,179.99,-179.99,-179.93}', '{-16.5,-16.5,-16.5,-16.5}'), 4)""")
    minutes = "extract(epoch FROM \"time\" - '2026-05-04 10:00Z')::float8 / 60"
    points = db.rows(f"SELECT {minutes}, longitude FROM get_path_points('ferry', {ALL})")
    assert [pytest.approx(point) for point in points] == [(0, 179.97), (2, 179.99), (4, -179.99), (10, -179.93)]
    whole = db.value(f"SELECT distance_m FROM get_device_trips('ferry', {ALL})")
    ends = """SELECT distance_m, (SELECT array_agg(longitude ORDER BY ordinal) FROM decode_polyline(encoded_polylines[1]))
                FROM get_device_trips('ferry', '2026-05-04 10:00Z'::timestamptz + %s * interval '1 min',
                                      '2026-05-04 10:00Z'::timestamptz + %s * interval '1 min')"""
    assert db.rows(ends, (0, 3.5)) == [(pytest.approx(whole * 0.35), [179.97, 179.99, -179.995])]
    assert db.rows(ends, (3.5, 10)) == [(pytest.approx(whole * 0.65), [-179.995, -179.99, -179.93])]


PATH = """INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count, length_m)
          VALUES ('van', %s, %s, encode_polyline('{24.9,24.91}', '{60.1,60.11}'), 2, 1000)"""


def test_days_between_two_paths_cost_nothing(db):
    """As a clock leaves them that said 1970 once."""
    for begin, end in [("1970-01-01 00:01Z", "1970-01-01 00:06Z"), ("2026-05-03 23:50Z", "2026-05-05 00:10Z")]:
        db.rows(PATH, (begin, end))
    for by, periods in [("day", ["1970-01-01", "2026-05-03", "2026-05-04", "2026-05-05"]),
                        ("week", ["1969-12-29", "2026-04-27", "2026-05-04"]), ("month", ["1970-01-01", "2026-05-01"])]:
        assert db.value(f"SELECT count(*) FROM _periods('van', {ALL}, %s, 'UTC')", (by,)) < 50
        assert [str(period) for (period,) in db.rows(
            f"SELECT period FROM get_distances('{{van}}', {ALL}, by => %s, time_zone => 'UTC')", (by,))] == periods


def test_what_is_driven_between_two_midnights_of_a_day_counts(db):
    """In Newfoundland clocks went back at one minute past midnight, and the evening before came once more."""
    db.rows(PATH, ("2010-11-07 02:40Z", "2010-11-07 02:50Z"))
    assert db.rows(f"SELECT period::text, distance_m FROM get_distances('{{van}}', {ALL}, time_zone => 'America/St_Johns')") == [
        ("2010-11-07", 1000)]


def test_what_a_reader_asks_is_answered_in_parallel_plans_and_read_only(driven):
    driven.rows("SET default_transaction_read_only = on")
    driven.rows("SET force_parallel_mode = on" if driven.value("SELECT current_setting('server_version_num')::int") < 160000
                else "SET debug_parallel_query = on")
    assert driven.value(f"SELECT count(*) FROM get_distances(NULL, {ALL})") >= 1
    assert driven.value(f"SELECT count(*) FROM get_device_trips('bus', {ALL})") == 2
    assert driven.value("SELECT count(*) FROM device_days") >= 1
    driven.disconnect()


def test_trips_hold_lines_that_were_imported_as_of_one_moment(db):
    """A path may end when it begins; one that does is the whole of a trip, or its end."""
    for begin, end in [("10:00", "10:05"), ("10:05", "10:05"), ("11:00", "11:00"), ("12:00", "12:00"), ("12:01", "12:05")]:
        db.rows(PATH, (f"2026-05-03 {begin}Z", f"2026-05-03 {end}Z"))
    trips = db.rows(f"SELECT distance_m, matched_m, driving_time FROM get_device_trips('van', {ALL})")
    assert [trip[:2] for trip in trips] == [(2000, 2000), (1000, 1000), (2000, 2000)]
    assert db.rows(f"SELECT distance_m, matched_m, driving_time FROM get_device_distance('van', {ALL})") == [
        (5000, 5000, sum((trip[2] for trip in trips), timedelta()))]
