"""Local times in an adopted table: an hour comes twice in autumn, another never in spring."""

from datetime import datetime, timedelta, timezone

import pytest

from drives import drive, insert, process_all
from harness.fault_server import FaultServer

# When clocks change in Helsinki.
SPRING = datetime(2024, 3, 31, 1, tzinfo=timezone.utc)
AUTUMN = datetime(2024, 10, 27, 1, tzinfo=timezone.utc)
LINES = "SELECT start_time, end_time, encoded_polyline FROM get_device_paths(%s, '-infinity', 'infinity')"


@pytest.fixture
def local(db):
    """An adopted table of local times, and a look-back that reaches far enough."""
    db.rows("CREATE TABLE local (vehicle text, at timestamp, lon float8, lat float8)")
    db.rows("""SELECT * FROM adopt_source('local', device_column => 'vehicle', time_column => 'at', longitude_column => 'lon',
                                          latitude_column => 'lat', time_zone => 'Europe/Helsinki')""")


def fill(db, device, fixes):
    for lon, lat, at in fixes:
        db.rows("INSERT INTO local VALUES (%s, %s AT TIME ZONE 'Europe/Helsinki', %s, %s)", (device, at, lon, lat))


def backfill(db, day):
    db.rows("SELECT start_backfill(%s, %s)", (day - timedelta(days=1), day + timedelta(days=1)))
    for _ in range(3):
        db.rows("CALL process_pending(60)")
    assert db.value("SELECT count(*) FROM local WHERE NOT processed") == 0
    assert db.value("SELECT bool_and(status = 'done') FROM get_jobs()")


@pytest.mark.parametrize("change", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize("window", ["5min", "1d"])
def test_a_drive_through_the_change_is_matched_as_elsewhere(db, osrm, local, change, window):
    db.set("osrm_matcher.window", window)
    db.set("timezone", "Europe/Helsinki")
    fixes = drive(osrm, change - timedelta(minutes=30), 3600, interval=20)
    if change == AUTUMN:
        # The hour before it cannot be told from the hour after it.
        fixes = [fix for fix in fixes if fix[2] >= change]
    fill(db, "car", fixes)
    insert(db, "own", fixes)
    backfill(db, change)
    assert db.rows(LINES, ("car",)) == db.rows(LINES, ("own",)) != []


def test_local_times_that_come_twice_are_all_taken_in_and_end(db, osrm, local):
    fixes = drive(osrm, AUTUMN - timedelta(minutes=65), 2 * 3600, interval=20)
    fill(db, "car", fixes)
    with FaultServer(upstream=osrm) as server:
        db.set("osrm_matcher.osrm_url", server.url)
        backfill(db, AUTUMN)
        asked = len(server.matches())
        db.rows("CALL process_pending(5)")
        assert len(server.matches()) == asked
    assert db.value("SELECT count(*) FROM processing_batches WHERE coordinate_count = 0") == 0


def test_local_times_that_never_come_stop_nothing(db, osrm, local):
    """A receiver that knows of no change: 3:30 is half an hour after the change, as 4:30 is."""
    fixes = drive(osrm, SPRING - timedelta(minutes=10), 3600, interval=20)
    for lon, lat, at in fixes:
        db.rows("INSERT INTO local VALUES ('car', %s, %s, %s)", (at.replace(tzinfo=None) + timedelta(hours=2), lon, lat))
    insert(db, "own", fixes)
    backfill(db, SPRING)
    assert db.rows(LINES, ("car",)) == db.rows(LINES, ("own",)) != []


def test_a_job_over_days_of_another_length(db, osrm):
    db.set("osrm_matcher.window", "1d")
    db.set("timezone", "Europe/Helsinki")
    for day in range(-2, 3):
        insert(db, "car", drive(osrm, SPRING + timedelta(days=day, hours=8), 300))
    db.rows("SELECT start_backfill('2024-03-20', '2024-04-10')")
    for _ in range(3):
        db.rows("CALL process_pending(60)")
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed") == 0
    assert db.value("SELECT count(*) FROM processing_batches WHERE end_time - start_time = interval '24 hours'") == 5
