"""Backfill and re-match: old ranges, in the background of live work."""

from datetime import timedelta

import psycopg2
import pytest
from drives import drive, insert, paths, process_all, recent_window
from test_partitions import adopt


def job(db, number):
    return db.row("SELECT * FROM get_jobs() WHERE job_id = %s", (number,))


def lines_of(db, device):
    return [row[1:] for row in paths(db) if row[0] == device]


def test_a_backfill_takes_its_range_and_no_more(db, osrm):
    week = recent_window() - timedelta(days=7)
    insert(db, "bus", drive(osrm, week, seconds=900))
    insert(db, "bus", drive(osrm, week + timedelta(days=1), seconds=300))
    insert(db, "van", drive(osrm, week, seconds=300))
    assert db.value("SELECT points FROM process_pending_gps()") == 0
    number = db.value("SELECT start_backfill(%s, %s, '{bus}')", (week, week + timedelta(hours=1)))
    db.rows("CALL process_pending(60)")
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE processed AND device_id = 'bus'") == 180
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE processed AND device_id = 'van'") == 0
    assert lines_of(db, "bus") != []
    done = job(db, number)
    assert (done["status"], done["share_done"], done["windows_done"]) == ("done", 1, 3)


def test_a_backfill_gives_the_paths_that_live_work_gives(db, osrm):
    fixes = drive(osrm, recent_window(), seconds=900)
    insert(db, "live", fixes)
    process_all(db)
    week = timedelta(days=7)
    insert(db, "old", [(lon, lat, at - week) for lon, lat, at in fixes])
    db.rows("SELECT start_backfill(%s, %s)", (recent_window() - week, recent_window() - week + timedelta(hours=1)))
    db.rows("CALL process_pending(60)")
    live = [(start, end, line) for start, end, line, *_ in lines_of(db, "live")]
    assert [(start + week, end + week, line) for start, end, line, *_ in lines_of(db, "old")] == live != []


@pytest.mark.parametrize("parts", [0, 80], ids=["a table", "partitions"])
def test_a_backfill_comes_to_each_device_of_each_table(db, osrm, parts):
    """Also where a table has so many partitions that only those of the range are looked into."""
    week = recent_window() - timedelta(days=7)
    db.rows("CREATE TABLE markers (username text, coords float8[], created_at timestamptz)"
            + (" PARTITION BY RANGE (created_at)" if parts else ""))
    for day in range(parts):
        at = week - timedelta(days=day)
        db.rows(f"CREATE TABLE markers_{day} PARTITION OF markers FOR VALUES FROM ('{at - timedelta(hours=12)}') TO ('{at + timedelta(hours=12)}')")
    adopt(db)
    for number in range(40):
        insert(db, f"own-{number}", [(24.94, 60.17, week), (24.941, 60.17, week + timedelta(seconds=30))])
        db.rows("INSERT INTO markers VALUES (%s, '{24.94,60.17}', %s), (%s, '{24.941,60.17}', %s)",
                (f"car-{number}", week, f"car-{number}", week + timedelta(seconds=30)))
    db.rows("INSERT INTO markers VALUES ('other', '{24.94,60.17}', %s)", (week - timedelta(days=1),))
    number = db.value("SELECT start_backfill(%s, %s)", (week - timedelta(minutes=5), week + timedelta(minutes=5)))
    devices = 80 if parts else 81
    assert db.value("SELECT devices_total FROM matching_jobs") == devices
    db.rows("CALL process_pending(60)")
    done = job(db, number)
    assert (done["status"], done["windows_done"]) == ("done", 80)
    assert db.value("SELECT devices_done FROM matching_jobs") == devices
    assert db.value("SELECT count(*) FROM markers WHERE NOT processed") == 1


def test_live_points_come_before_a_backfill(db, osrm):
    week = recent_window() - timedelta(days=7)
    for number in range(20):
        insert(db, f"old-{number}", drive(osrm, week, seconds=300, seed=number))
    db.rows("SELECT start_backfill(%s, %s)", (week, week + timedelta(hours=1)))
    insert(db, "live", drive(osrm, recent_window(), seconds=100))
    db.rows("SELECT process_pending_gps(3)")
    assert lines_of(db, "live") != []


def test_a_job_can_be_stopped_and_goes_on_where_it_was(db, osrm):
    week = recent_window() - timedelta(days=7)
    for number in range(6):
        insert(db, f"bus-{number}", drive(osrm, week, seconds=600, seed=number))
    number = db.value("SELECT start_backfill(%s, %s)", (week, week + timedelta(hours=1)))
    db.rows("SELECT process_pending_gps(3)")
    assert db.value("SELECT stop_job(%s)", (number,)) is True
    db.rows("CALL process_pending(60)")
    half = job(db, number)
    assert half["status"] == "stopped"
    assert 0 < half["share_done"] < 1
    waiting = db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed")
    assert waiting > 0
    db.rows("CALL process_pending(60)")
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed") == waiting
    assert db.value("SELECT resume_job(%s)", (number,)) is True
    db.rows("CALL process_pending(60)")
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed") == 0
    assert job(db, number)["status"] == "done"
    assert db.value("SELECT stop_job(%s)", (number,)) is False


def test_a_rematch_gives_what_a_fresh_match_gives(db, osrm):
    insert(db, "bus", drive(osrm, recent_window(), seconds=900))
    process_all(db)
    right = paths(db)
    db.rows("UPDATE cached_polylines SET encoded_polyline = '_p~iF~ps|U_ulLnnqC', point_count = 2")
    number = db.value("SELECT start_rematch(now() - interval '2 h', now())")
    wrong = paths(db)
    assert wrong != right
    db.rows("CALL process_pending(60)")
    assert paths(db) == right
    assert job(db, number)["status"] == "done"


def test_old_paths_stay_readable_until_the_new_ones_are_there(db, own_osrm):
    insert(db, "bus", drive(own_osrm, recent_window(), seconds=900))
    process_all(db)
    before = paths(db)
    db.rows("SELECT start_rematch(now() - interval '2 h', now())")
    own_osrm.stop()
    db.rows("SELECT process_pending_gps()")
    assert paths(db) == before != []


def test_a_rematch_of_an_adopted_table(db, osrm):
    db.rows("CREATE TABLE markers (id serial PRIMARY KEY, username int, coords float8[], created_at timestamptz)")
    for lon, lat, at in drive(osrm, recent_window(), seconds=600):
        db.rows("INSERT INTO markers (username, coords, created_at) VALUES (12, %s, %s)", ([lon, lat], at))
    db.rows("SELECT * FROM adopt_source('markers')")
    process_all(db)
    right = paths(db)
    db.rows("DELETE FROM cached_polylines")
    db.rows("SELECT start_rematch(now() - interval '2 h', now(), '{12,nobody}')")
    db.rows("CALL process_pending(60)")
    assert paths(db) == right != []


def test_a_window_that_lies_in_two_sources_is_matched_once(db, osrm):
    fixes = drive(osrm, recent_window(), seconds=900)
    insert(db, "12", fixes[::2])
    db.rows("CREATE TABLE markers (id serial PRIMARY KEY, username int, coords float8[], created_at timestamptz)")
    for lon, lat, at in fixes[1::2]:
        db.rows("INSERT INTO markers (username, coords, created_at) VALUES (12, %s, %s)", ([lon, lat], at))
    db.rows("SELECT * FROM adopt_source('markers')")
    process_all(db)
    number = db.value("SELECT start_rematch(now() - interval '2 h', now())")
    # A window at a time, so that each is matched before the job comes to the other source.
    while db.value("SELECT windows_completed FROM process_pending_gps(1)"):
        pass
    assert job(db, number)["status"] == "done"
    assert job(db, number)["windows_done"] == db.value("SELECT count(*) FROM processing_batches") > 1


@pytest.mark.parametrize("arguments", ["now(), now() - interval '1 h'", "'-infinity', now()", "NULL, now()",
                                       "now() - interval '1 h', now(), '{}'", "now() - interval '1 h', now(), '{NULL}'"])
def test_a_range_that_is_none_is_refused(db, arguments):
    with pytest.raises(psycopg2.errors.InvalidParameterValue):
        db.rows(f"SELECT start_backfill({arguments})")


def test_failed_windows_come_back_on_request(db, osrm):
    insert(db, "bus", drive(osrm, recent_window(), seconds=600))
    process_all(db)
    right = paths(db)
    db.rows("UPDATE processing_batches SET status = 'failed', retry_count = 5")
    assert db.value("SELECT retry_failed('{van}')") == 0
    assert db.value("SELECT retry_failed(NULL, %s, %s)",
                    (recent_window() + timedelta(minutes=5), recent_window() + timedelta(minutes=10))) == 1
    assert db.value("SELECT retry_failed()") == 1
    process_all(db)
    assert db.rows("SELECT DISTINCT status, retry_count FROM processing_batches") == [("completed", 0)]
    assert paths(db) == right


def test_a_failed_window_of_a_job_comes_back_as_the_jobs(db, osrm):
    insert(db, "bus", drive(osrm, recent_window(), seconds=600))
    process_all(db)
    number = db.value("SELECT start_rematch(now() - interval '2 h', now())")
    db.rows("CALL process_pending(60)")
    assert job(db, number)["windows_done"] == 2
    db.rows("UPDATE processing_batches SET status = 'failed'")
    assert db.value("SELECT retry_failed()") == 2
    assert job(db, number)["windows_done"] == 0
    db.rows("CALL process_pending(60)")
    assert job(db, number)["windows_done"] == 2
