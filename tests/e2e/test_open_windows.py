"""Windows that are not over: lines go on with each run, and are matched as a whole once they settle."""

from datetime import datetime, timedelta, timezone

import pytest

from drives import drive, insert
from scratch import from_scratch, shown

from harness.fault_server import FaultServer
from harness.outcome import leftovers

SLOT = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def start():
    """The start of a window that is over, in a slot that has not settled yet."""
    now = datetime.now(timezone.utc).replace(second=0, microsecond=0)
    return now - timedelta(minutes=now.minute % 5 + 5)


@pytest.fixture
def db(db):
    # However late in a slot a test runs, and whatever the device: nothing settles by itself.
    db.set("osrm_matcher.settle_delay", "1h")
    return db


@pytest.fixture
def faults(db, osrm):
    with FaultServer(upstream=osrm) as server:
        db.set("osrm_matcher.osrm_url", server.url)
        yield server


def run(db):
    db.rows("CALL process_pending(60)")


def settle(db):
    db.rows("UPDATE processing_batches SET settles_at = now() WHERE settles_at IS NOT NULL")
    run(db)


def assert_as_from_scratch(db):
    history = shown(db)
    db.set("osrm_matcher.settle_delay", "0")
    assert history == from_scratch(db)


def assert_settled_as_from_scratch(db):
    settle(db)
    assert_as_from_scratch(db)


def lines(db):
    return db.rows("SELECT start_time, end_time, match_status, encoded_polyline FROM cached_polylines ORDER BY start_time")


def minute_by_minute(db, fixes):
    for minute in range(5):
        insert(db, "car", fixes[20 * minute:20 * (minute + 1)])
        run(db)


def test_a_line_goes_on_with_each_run_and_costs_a_request_or_two(db, osrm, start):
    fixes = drive(osrm, start, 300, interval=3)
    drawn = ""
    for minute in range(5):
        insert(db, "car", fixes[20 * minute:20 * (minute + 1)])
        run(db)
        ((begin, end, status, line),) = lines(db)
        assert (begin, end, status) == (fixes[0][2], fixes[20 * (minute + 1) - 1][2], "matched")
        assert line.startswith(drawn) and len(line) > len(drawn)
        drawn = line
        assert db.value("SELECT osrm_calls FROM worker_runs ORDER BY id DESC LIMIT 1") <= 2
    assert leftovers(db) == {}
    assert db.rows("""
        SELECT source_coordinates_count, point_count = (SELECT count(*) FROM decode_polyline(encoded_polyline)),
               abs(length_m / fixes_length_m - 1) < 0.1, osrm_confidence BETWEEN 0 AND 1
          FROM cached_polylines""") == [(len(fixes), True, True, True)]


def test_a_path_keeps_its_row_from_its_first_run_until_it_has_settled(db, osrm, start):
    fixes = drive(osrm, start + timedelta(seconds=1.7), 298, interval=3)
    minute_by_minute(db, fixes)
    row = "SELECT id, start_time FROM cached_polylines"
    before = db.rows(row)
    assert before[0][1] == fixes[0][2]
    settle(db)
    assert db.rows(row) == before


def test_once_settled_it_is_as_from_scratch(db, osrm, start):
    fixes = drive(osrm, start, 300, interval=3)
    minute_by_minute(db, fixes)
    assert db.value("SELECT bool_and(settles_at > now()) FROM processing_batches")
    settle(db)
    assert db.value("SELECT count(*) FROM processing_batches WHERE settles_at IS NOT NULL") == 0
    assert_as_from_scratch(db)


def test_without_a_delay_each_run_matches_all(db, osrm, start):
    db.set("osrm_matcher.settle_delay", "0")
    minute_by_minute(db, drive(osrm, start, 300, interval=3))
    assert db.value("SELECT count(*) FROM processing_batches WHERE settles_at IS NOT NULL") == 0
    history = shown(db)
    assert history == from_scratch(db)


def test_points_that_come_late_are_in_the_line_at_once(db, osrm, start):
    fixes = drive(osrm, start, 300, interval=3)
    insert(db, "car", fixes[80:])
    run(db)
    insert(db, "car", fixes[:80])
    run(db)
    assert lines(db)[0][0] == fixes[0][2]
    assert leftovers(db) == {}
    assert_settled_as_from_scratch(db)


def test_a_little_disorder_loses_nothing(db, osrm, start):
    fixes = drive(osrm, start, 300, interval=3)
    insert(db, "car", fixes[:38] + fixes[42:60])
    run(db)
    insert(db, "car", fixes[38:42] + fixes[60:])
    run(db)
    assert leftovers(db) == {}
    assert_settled_as_from_scratch(db)


def test_a_vehicle_that_stands_is_one_stop_that_goes_on(db, osrm, start):
    lon, lat, _ = drive(osrm, start, 300)[0]
    for minute in range(5):
        db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
                   SELECT 'van', %s + 1e-5 * (t %% 7), %s - 1e-5 * (t %% 5), %s + t * interval '1 s'
                     FROM generate_series(%s, %s, 3) t""", (lon, lat, start, 60 * minute, 60 * minute + 59))
        run(db)
    assert lines(db) == []
    stops = db.rows("SELECT start_time, end_time FROM get_device_stops('van', %s, %s)", (start, start + SLOT))
    assert stops == [(start, start + timedelta(seconds=297))]
    assert db.value("SELECT sum(osrm_calls) FROM worker_runs") <= 1
    settle(db)
    assert db.rows("SELECT start_time, end_time FROM get_device_stops('van', %s, %s)",
                   (start, start + SLOT)) == stops


def test_a_window_whose_new_points_osrm_did_not_answer_for_is_done_later(db, osrm, faults, start):
    fixes = drive(osrm, start, 300, interval=3)
    insert(db, "car", fixes[:40])
    run(db)
    before = lines(db)
    insert(db, "car", fixes[40:])
    faults.poison_fault = "error_500"
    faults.poison = lambda lon, lat: True
    run(db)
    assert lines(db) == before
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed") == len(fixes) - 40
    faults.poison = lambda lon, lat: False
    db.rows("UPDATE processing_batches SET next_attempt_at = now() WHERE status = 'pending'")
    run(db)
    settle(db)
    assert leftovers(db) == {}
    assert_as_from_scratch(db)


def test_a_line_made_while_osrm_was_silent_is_made_again(db, osrm, faults, start):
    db.set("osrm_matcher.request_timeout", "300ms")
    old = start - timedelta(hours=3)
    insert(db, "car", drive(osrm, old, 300, interval=3))
    faults.poison = lambda lon, lat: lon > 1 and not faults.matches("hang")
    run(db)
    assert db.value("SELECT status FROM processing_batches") == "completed"
    assert db.value("SELECT settles_at > now() AND retry_count = 1 FROM processing_batches")
    settle(db)
    assert db.row("SELECT settles_at, retry_count FROM processing_batches") == {"settles_at": None, "retry_count": 0}
    history = shown(db)
    assert history == from_scratch(db)


def test_two_windows_that_come_at_once_are_one_line(db, osrm, start):
    begin = start - timedelta(minutes=5)
    insert(db, "car", drive(osrm, begin, 600, interval=3))
    run(db)
    points = db.rows("SELECT longitude, latitude, path_start FROM get_path_points('car', %s, %s)",
                     (begin, begin + timedelta(minutes=10)))
    first = [point for point in points if point[2] == points[0][2]]
    second = [point for point in points if point[2] == points[-1][2]]
    assert len(first) + len(second) == len(points)
    (west, south, _), (east, north, _) = first[-1], second[0]
    assert abs(east - west) * 55_000 < 30 and abs(north - south) * 111_000 < 30


@pytest.mark.parametrize("minutes", [30, 50])
def test_what_waits_on_both_sides_of_a_settled_slots_edge_is_drawn_once(db, osrm, minutes):
    """As after an outage, or once a table is adopted: what is over is matched as a whole, what is open is not."""
    db.set("osrm_matcher.settle_delay", "3min")
    now = datetime.now(timezone.utc)
    for number in range(12):
        insert(db, f"car-{number}", drive(osrm, now - timedelta(minutes=minutes), 60 * minutes, seed=number))
    run(db)
    assert db.value("SELECT count(DISTINCT device_id) FROM processing_batches WHERE settles_at IS NOT NULL") == 12
    twice = db.rows("""SELECT p.device_id, p.end_time - n.start_time
                         FROM cached_polylines p
                         JOIN LATERAL (SELECT * FROM cached_polylines n
                                        WHERE n.device_id = p.device_id AND n.start_time > p.start_time
                                        ORDER BY n.start_time LIMIT 1) n ON n.start_time < p.end_time""")
    # Where two slots meet is decided with the earlier one: it is one of the first four points beyond the edge.
    assert [(device, lap) for device, lap in twice if lap > 3 * timedelta(seconds=5)] == []
    shown = "SELECT sum(distance_m) FROM get_distances(NULL, '-infinity', 'infinity')"
    provisional = db.value(shown)
    settle(db)
    assert abs(provisional / db.value(shown) - 1) < 0.02
