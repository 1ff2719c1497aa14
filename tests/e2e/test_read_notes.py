"""last_accessed follows what pages read, and reading stays reading."""

import hashlib
import threading
from contextlib import closing

import pytest
from drives import drive, insert, process_all, recent_window


@pytest.fixture
def driven(db, osrm):
    insert(db, "bus", drive(osrm, recent_window(), seconds=600))
    process_all(db)
    db.rows("UPDATE cached_polylines SET last_accessed = now() - interval '1 day'")
    return db


def rows_now(db):
    return db.rows("SELECT ctid::text, last_accessed FROM cached_polylines ORDER BY id")


def test_a_page_is_noted_and_the_next_run_stores_it(driven):
    before = rows_now(driven)
    driven.rows("SELECT get_device_page('bus')")
    assert rows_now(driven) == before
    driven.rows("SELECT process_pending_gps()")
    assert driven.value("SELECT min(now() - last_accessed) < interval '1 min' FROM cached_polylines")


def test_the_last_read_shows_before_it_is_stored_and_after_its_note_is_gone(driven):
    last = "SELECT now() - last_access < interval '1 min' FROM cache_performance"
    assert not driven.value(last)
    driven.rows("SELECT get_device_page('bus')")
    assert driven.value(last)
    driven.rows("SELECT process_pending_gps(); TRUNCATE path_reads")
    assert driven.value(last)


def test_a_path_is_not_written_again_within_minutes(driven):
    driven.rows("SELECT get_device_page('bus')")
    driven.rows("SELECT process_pending_gps()")
    stored = rows_now(driven)
    for hours in (24, 12, 24):
        driven.rows("SELECT get_device_page('bus', %s)", (hours,))
    driven.rows("SELECT process_pending_gps()")
    assert rows_now(driven) == stored
    assert driven.value("SELECT count(*) FROM path_reads") == 1


def test_pages_of_the_fleet_write_a_path_once_an_hour(driven):
    for ago, written in (("50 min", 0), ("70 min", 1)):
        driven.rows("UPDATE cached_polylines SET last_accessed = now() - %s::interval", (ago,))
        driven.rows("TRUNCATE path_reads; SELECT get_fleet_page(24)")
        before = rows_now(driven)
        driven.rows("SELECT process_pending_gps()")
        assert sum(one != other for one, other in zip(before, rows_now(driven))) == written * len(before)


def test_the_row_functions_note_nothing(driven):
    driven.rows("SELECT * FROM get_device_paths('bus')")
    driven.rows("SELECT get_device_geojson('bus')")
    assert driven.value("SELECT count(*) FROM path_reads") == 0
    assert driven.value("SELECT note_read('bus', now() - interval '1 day', now())") is True
    assert driven.value("SELECT note_read('bus', now() - interval '1 day', now())") is False
    for bounds in ((None, None), (None, "now"), ("now", None)):
        assert driven.value("SELECT note_read('bus', %s, %s)", bounds) is False


@pytest.mark.parametrize("mode", ["READ ONLY", "ISOLATION LEVEL SERIALIZABLE"])
def test_nothing_is_written_in_a_transaction_that_may_not_or_would_conflict(driven, mode):
    with closing(driven.connect(autocommit=False)) as session:
        cursor = session.cursor()
        cursor.execute(f"SET TRANSACTION {mode}")
        cursor.execute("SELECT get_device_page('bus')")
        assert cursor.fetchone()[0]["paths"]
        session.commit()
    assert driven.value("SELECT count(*) FROM path_reads") == 0


def test_a_reader_waits_neither_for_readers_nor_for_whoever_has_the_paths(driven):
    """Many open readers, and a session that has locked every path and every note."""
    sessions = [driven.connect(autocommit=False) for _ in range(4)]
    try:
        sessions[0].cursor().execute("SELECT * FROM cached_polylines FOR UPDATE")
        for session in sessions:
            cursor = session.cursor()
            cursor.execute("SET LOCAL lock_timeout = '500ms'")
            cursor.execute("SELECT get_device_page('bus')")
            assert cursor.fetchone()[0]["paths"]
        # Nor does a run that stores the notes wait for a locked path.
        sessions[1].commit()
        with closing(driven.connect()) as run:
            cursor = run.cursor()
            cursor.execute("SET lock_timeout = '500ms'")
            cursor.execute("SELECT _store_reads()")
            assert cursor.fetchone()[0] == 0
    finally:
        for session in sessions:
            session.close()


def test_readers_and_a_storing_run_at_once(driven):
    failures = []

    def read():
        try:
            with closing(driven.connect()) as session:
                for _ in range(50):
                    session.cursor().execute("SELECT get_device_page('bus'), get_fleet_page(2)")
        except Exception as error:  # shown below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        driven.rows("SELECT _store_reads()")
    assert failures == []


def test_the_hit_rate_counts_points_that_no_path_stood_for(driven, osrm):
    driven.rows("SELECT get_device_page('bus')")
    assert driven.value("SELECT hit_rate FROM cache_performance") == 1
    insert(driven, "late", drive(osrm, recent_window(10), seconds=100))
    driven.rows("SELECT get_device_page('late')")
    assert 0 < driven.value("SELECT hit_rate FROM cache_performance") < 1
    assert driven.value("SELECT reads_last_day FROM cache_performance") == 2


def test_a_page_of_a_name_that_no_device_can_have_is_an_ordinary_one(db):
    # What an application passes on may be of any length, and no index takes all.
    name = "".join(hashlib.md5(bytes([n % 256, n // 256])).hexdigest() for n in range(600))
    assert db.value("SELECT get_device_page(%s, tail => true)", (name,)) == {
        "device": name, "paths": [], "cached": True, "processing_delay_ms": 0}
    assert db.value("SELECT note_read(%s, now() - interval '1 day', now())", (name,)) is False
    assert db.value("SELECT count(*) FROM path_reads") == 0
    assert db.value("SELECT note_read(repeat('x', 255), now() - interval '1 day', now())") is True


@pytest.mark.parametrize("page", ["get_fleet_page(48)", "get_device_page('car-1', 100000)"])
def test_however_many_paths_were_read_no_run_is_held_up_by_storing_it(db, page):
    many = 60_000
    devices = 300 if "fleet" in page else 1
    db.rows("""INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count, last_accessed)
               SELECT 'car-' || 1 + n %% %(devices)s, now() - n * interval '1 s' * 86400 / %(many)s,
                      now() - n * interval '1 s' * 86400 / %(many)s, 'a', 2, now() - interval '2 days'
                 FROM generate_series(1, %(many)s) n""", {"devices": devices, "many": many})
    db.rows(f"SELECT {page}")
    # A moment is enough to get on, and no more than a part is done in it.
    assert 0 < db.value("SELECT s.touched FROM path_reads n, _store_read(n, '-infinity') s") <= 10_000
    stored = [0]
    while stored[-1] < many:
        db.rows("SELECT * FROM process_pending_gps()")
        stored.append(db.value("SELECT count(*) FROM cached_polylines WHERE last_accessed > now() - interval '1 day'"))
        assert stored[-1] > stored[-2]
    db.rows("SELECT * FROM process_pending_gps()")
    assert db.value("SELECT bool_and(stored) FROM path_reads")
