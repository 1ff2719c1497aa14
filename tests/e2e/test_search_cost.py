"""What a run costs goes with what is new: not with what is old, quiet, or dead in an index."""

import re
from contextlib import closing, contextmanager

import pytest

from drives import drive, insert, recent_window, waiting

MANY = 3000


def pages(db, statement):
    """Pages that a statement looked at, with those of the statements within it."""
    plan = "\n".join(line for (line,) in db.rows(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) {statement}"))
    found = re.search(r"Buffers: shared (?:hit=(\d+))?(?: ?read=(\d+))?", plan)
    return sum(int(number or 0) for number in found.groups())


@pytest.fixture
def warm(db):
    """A database whose session has planned and loaded what it needs."""
    db.rows("SELECT * FROM process_pending_gps()")
    return db


def test_a_run_does_not_look_at_devices_with_nothing_but_old_points(warm):
    before = pages(warm, "SELECT * FROM process_pending_gps()")
    warm.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
                 SELECT 'old-' || n, 24.94, 60.17, now() - interval '3 days' FROM generate_series(1, %s) n""", (MANY,))
    assert pages(warm, "SELECT * FROM process_pending_gps()") < before + MANY / 10


def test_counting_what_waits_does_not_read_all_of_it(db):
    """Whatever statistics say: they know nothing of what waits."""
    db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
               SELECT 'car-' || n %% 100, 24.94, 60.17, now() - interval '3 hours' + n * interval '0.1 s'
                 FROM generate_series(1, %s) n ORDER BY random()""", (20 * MANY,))
    db.rows("ANALYZE gps_coordinates")
    with closing(db.connect(autocommit=False)) as session, closing(session.cursor()) as cursor:
        cursor.execute("SELECT estimated FROM worker_status()")
        assert cursor.fetchall() == [(True,)]
        cursor.execute("SELECT idx_tup_fetch, seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'gps_coordinates'")
        ((fetched, read),) = cursor.fetchall()
    assert 2000 <= fetched + read <= 6000


@contextmanager
def old_snapshot(db):
    """A transaction that still sees what there was, as that of a dump does."""
    with closing(db.connect(autocommit=False)) as session:
        session.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM stops")
        yield


def test_what_was_processed_is_passed_over_once_a_run_even_while_an_old_snapshot_is_open(warm, osrm):
    dead, devices = 20_000, 20
    fixes = [drive(osrm, recent_window(60), 100, seed=number) for number in range(devices)]
    with old_snapshot(warm):
        warm.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
                     SELECT 'car-' || n %% %s, 24.94, 60.17, now() - interval '3 hours' + n * interval '0.1 s'
                       FROM generate_series(1, %s) n""", (devices, dead))
        warm.rows("UPDATE gps_coordinates SET processed = true")
        for number in range(devices):
            insert(warm, f"car-{number}", fixes[number])
        # One window a device, and a device a round.
        assert pages(warm, "SELECT * FROM process_pending_gps()") < 2.5 * dead
    assert waiting(warm) == 0


def test_after_a_search_through_much_the_schedule_looks_for_old_points_more_rarely(warm, osrm):
    """Live ones are taken as ever, and a run by hand takes all."""
    warm.rows("UPDATE worker_runs SET search_pages = 3000000")
    insert(warm, "late", drive(osrm, recent_window(60), 100))
    warm.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
                 VALUES ('live', 24.94, 60.17, now()), ('live', 24.941, 60.17, now() - interval '10 s')""")
    warm.rows("CALL process_pending()")
    assert warm.rows("SELECT DISTINCT device_id FROM gps_coordinates WHERE NOT processed") == [("late",)]
    assert warm.value("SELECT points_waiting FROM worker_runs ORDER BY id DESC LIMIT 1") is None

    warm.rows("UPDATE worker_runs SET started_at = started_at - interval '20 min', finished_at = finished_at - interval '20 min'")
    warm.rows("CALL process_pending()")
    assert waiting(warm) == 0


def test_a_run_by_hand_takes_all_however_much_the_last_search_looked_at(warm, osrm):
    warm.rows("UPDATE worker_runs SET search_pages = 3000000")
    insert(warm, "late", drive(osrm, recent_window(60), 100))
    warm.rows("SELECT * FROM process_pending_gps()")
    assert waiting(warm) == 0


def test_a_backlog_of_more_devices_than_a_search_finds_is_worked_off(warm):
    """A search looks at some 20,000 points: here they are of 300 devices, and of a hundred more behind them."""
    warm.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
                 SELECT 'car-' || d, 24.94, 60.17, date_bin('5 min', now(), 'epoch') - interval '2 hours' + s * interval '1 s'
                   FROM generate_series(1, 300) d, generate_series(1, 80) s
                 UNION ALL
                 SELECT 'van-' || d, 24.94, 60.17, date_bin('5 min', now(), 'epoch') - interval '1 hour' + s * interval '1 s'
                   FROM generate_series(1, 100) d, generate_series(1, 2) s""")
    warm.rows("CALL process_pending(120)")
    assert waiting(warm) == 0


def test_one_call_takes_a_job_over_quiet_devices_to_its_end(db):
    """A round looks for a second; that it found nothing does not end the call."""
    db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at, processed)
               SELECT 'quiet-' || n, 24.94, 60.17, now() - interval '10 days', true FROM generate_series(1, 20000) n""")
    db.rows("SELECT start_backfill(now() - interval '9 days', now() - interval '8 days')")
    db.rows("CALL process_pending(120)")
    assert db.value("SELECT status FROM get_jobs()") == "done"
    assert db.value("SELECT count(*) FROM worker_runs") == 1


def test_notes_of_reads_are_stored_by_the_thousand_and_never_kept_for_more_than_a_day(db):
    db.rows("""INSERT INTO path_reads (device_id, from_time, to_time, read_at)
               SELECT 'car-' || n, now() - interval '2 hours', now(), now() - a * interval '9 days'
                 FROM generate_series(1, 900) n, generate_series(0, 1) a""")
    db.rows("SELECT * FROM process_pending_gps()")
    assert db.row("SELECT count(*) AS notes, count(*) FILTER (WHERE stored) AS stored FROM path_reads") == {
        "notes": 900, "stored": 900}


def test_what_was_due_is_passed_over_once_a_run_even_while_an_old_snapshot_is_open(warm, osrm):
    """The procedure does so the more rarely, the more that is, and takes what has become due since."""
    batches, devices = 20_000, 8
    warm.rows("""INSERT INTO processing_batches (device_id, start_time, end_time, status, context_start, context_end)
                 SELECT 'old', s, s + interval '5 min', 'completed', s, s + interval '5 min'
                   FROM generate_series(now() - %s * interval '5 min', now() - interval '1 day', '5 min') s""", (batches,))
    warm.rows("ANALYZE processing_batches")
    with old_snapshot(warm):
        for settles in "now() - random() * interval '8 h'", "NULL":
            warm.rows(f"UPDATE processing_batches SET settles_at = {settles}")
            warm.rows("""UPDATE processing_batches SET status = 'pending', next_attempt_at = now() - random() * interval '8 h'
                          WHERE settles_at IS NULL; UPDATE processing_batches SET status = 'completed'""")
        search = pages(warm, "SELECT * FROM process_pending_gps()")
        for number in range(devices):
            insert(warm, f"car-{number}", drive(osrm, recent_window(60), 100, seed=number))
        # A device a round.
        assert pages(warm, "SELECT * FROM process_pending_gps()") < 1.5 * search
        warm.rows("UPDATE worker_runs SET search_pages = 3000000, started_at = now()")
        warm.rows("UPDATE processing_batches SET settles_at = now() WHERE device_id = 'car-1'")
        assert pages(warm, "SELECT * FROM _process_round(NULL, 500, 50)") < search / 10
    assert warm.value("SELECT count(*) FROM processing_batches WHERE settles_at IS NOT NULL OR status <> 'completed'") == 0
