"""A run inside whatever transaction its caller has: each has its clear outcome, and the next run
completes everything. Readers and writers never wait for a run."""

import threading

import psycopg2
import pytest

from drives import drive, insert, process_all, recent_window, waiting
from harness.fault_server import FaultServer
from harness.outcome import leftovers, locked_devices

START = recent_window(60)
POINTS = 3 * 60
RUN = "SELECT windows_completed FROM process_pending_gps()"


@pytest.fixture
def pending(db, osrm):
    for number in range(3):
        insert(db, f"car-{number}", drive(osrm, START, 300, seed=number))


@pytest.fixture
def session(db):
    """A session of its own, without autocommit."""
    connection = db.connect(autocommit=False)
    yield connection
    connection.close()


def assert_the_next_run_completes_everything(db):
    assert locked_devices(db) == 0
    process_all(db)
    assert leftovers(db) == {}


def refusal(session, statement):
    with pytest.raises(psycopg2.Error) as caught:
        session.cursor().execute(statement)
    session.rollback()
    return caught.value


def test_rolled_back(db, session, pending):
    cursor = session.cursor()
    cursor.execute(RUN)
    assert cursor.fetchone()[0] > 0
    session.rollback()
    assert waiting(db) == POINTS
    assert db.value("SELECT count(*) FROM cached_polylines") == 0
    assert_the_next_run_completes_everything(db)


def test_rolled_back_to_a_savepoint(db, session, pending):
    """The session goes on, and a second run in the same transaction does the work."""
    cursor = session.cursor()
    cursor.execute("SAVEPOINT before")
    cursor.execute(RUN)
    done = cursor.fetchone()[0]
    cursor.execute("ROLLBACK TO before")
    assert locked_devices(db) == 0
    cursor.execute(RUN)
    assert cursor.fetchone()[0] == done > 0
    session.commit()
    assert leftovers(db) == {}


def test_in_a_block_that_catches_errors(db, pending):
    """An error after the run takes the run back, and the block goes on."""
    db.rows("""DO $$ BEGIN
                   BEGIN
                       PERFORM * FROM process_pending_gps();
                       RAISE division_by_zero;
                   EXCEPTION WHEN division_by_zero THEN NULL;
                   END;
                   ASSERT (SELECT bool_and(NOT processed) FROM gps_coordinates);
               END $$""")
    assert waiting(db) == POINTS
    assert_the_next_run_completes_everything(db)


def test_a_cancel_that_is_caught(db, osrm, pending):
    """statement_timeout inside of an EXCEPTION block: the threads are gone, the block goes on."""
    with FaultServer(upstream=osrm) as server:
        server.poison = lambda lon, lat: abs(lon) > 1
        db.set("osrm_matcher.osrm_url", server.url)
        db.rows("""SET statement_timeout = '700ms';
                   DO $$ BEGIN
                       PERFORM * FROM process_pending_gps();
                       RAISE 'the run ended by itself';
                   EXCEPTION WHEN query_canceled THEN NULL;
                   END $$;
                   RESET statement_timeout""")
        db.set("osrm_matcher.osrm_url", osrm.url)
    assert waiting(db) == POINTS
    assert_the_next_run_completes_everything(db)


@pytest.mark.parametrize("statement", [
    RUN, "SELECT make_batches()", "SELECT claim_batches()", "SELECT * FROM match_batches('{}')",
    "CALL process_pending()"])
def test_read_only(db, session, pending, statement):
    session.set_session(readonly=True, autocommit=True)
    error = refusal(session, statement)
    assert error.pgcode == "25006"
    assert "cannot process points in a read-only transaction" in str(error)
    assert "default_transaction_read_only" in error.diag.message_hint
    assert_the_next_run_completes_everything(db)


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_alone_in_a_stricter_isolation(db, session, pending, level):
    session.set_session(isolation_level=level)
    cursor = session.cursor()
    cursor.execute(RUN)
    assert cursor.fetchone()[0] > 0
    session.commit()
    assert_the_next_run_completes_everything(db)


def test_serializable_with_a_snapshot_that_is_too_old(db, session, pending):
    """What another worker has done meanwhile cannot be seen: it is an error that says to try again,
    never a window done from stale points."""
    session.set_session(isolation_level="SERIALIZABLE")
    session.cursor().execute("SELECT count(*) FROM gps_coordinates")
    process_all(db)
    error = refusal(session, RUN)
    assert error.pgcode == "40001"
    assert leftovers(db) == {}


def test_a_call_inside_a_transaction_says_what_is_wrong(db, session, pending):
    assert refusal(session, "CALL process_pending()").pgcode == "2D000"
    assert waiting(db) == POINTS
    assert_the_next_run_completes_everything(db)


@pytest.mark.parametrize("table", ["gps_coordinates", "processing_batches", "cached_polylines", "stops"])
def test_a_table_that_somebody_else_has_locked(db, session, pending, table):
    session.cursor().execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    worker = db.connect()
    worker.cursor().execute("SET lock_timeout = '300ms'")
    with pytest.raises(psycopg2.Error) as caught:
        worker.cursor().execute(RUN)
    assert caught.value.pgcode == "55P03"
    worker.cursor().execute("SELECT 1")
    worker.close()
    session.rollback()
    assert waiting(db) == POINTS
    assert_the_next_run_completes_everything(db)


def test_readers_and_writers_do_not_wait_for_a_run(db, osrm, session, pending):
    """While a run's transaction is open, others read, and insert into the very windows it works on."""
    session.cursor().execute(RUN)
    other = db.connect()
    cursor = other.cursor()
    cursor.execute("SET lock_timeout = '1ms'; SET statement_timeout = '2s'")
    cursor.execute("SELECT count(*) FROM get_device_paths('car-0', now() - interval '1 day', now())")
    cursor.execute("SELECT count(*) FROM cached_polylines")
    place = drive(osrm, START, 300, seed=0)[7]
    cursor.execute("INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)"
                   " VALUES ('car-0', %s, %s, %s + interval '1 s')", place)
    # A second worker takes nothing of what the first has, and does not wait either.
    cursor.execute(RUN)
    assert cursor.fetchone()[0] == 0
    other.close()
    session.commit()
    assert waiting(db) == 1
    assert_the_next_run_completes_everything(db)


def test_points_deleted_while_a_run_is_under_way(db, osrm, pending):
    """The application may clean its table up at any time."""
    with FaultServer(upstream=osrm, fault="slow") as server:
        db.set("osrm_matcher.osrm_url", server.url)
        worker = db.connect()
        thread = threading.Thread(target=lambda: worker.cursor().execute(RUN))
        thread.start()
        server.wait_for_matches(1)
        db.rows("DELETE FROM gps_coordinates WHERE device_id = 'car-1'")
        thread.join(20)
        worker.close()
    db.set("osrm_matcher.osrm_url", osrm.url)
    process_all(db)
    assert db.value("SELECT count(*) FROM gps_coordinates") == POINTS - 60
    assert waiting(db) == 0
