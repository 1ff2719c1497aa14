"""Whose a device is: nobody who may not work can keep it from the workers, and however many a run takes,
PostgreSQL's table of locks has room for everybody else."""

from contextlib import closing

import psycopg2
import pytest

from drives import drive, insert, recent_window, waiting
from harness.database import Database
from harness.outcome import locked_devices

MANY = 6000


@pytest.fixture
def stranger(db):
    db.rows("DO $$ BEGIN CREATE ROLE osrm_test_passer_by LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    with closing(db.connect(user="osrm_test_passer_by")) as session:
        yield session


def test_no_lock_of_a_stranger_keeps_a_device_from_the_workers(db, osrm, stranger):
    insert(db, "car", drive(osrm, recent_window(60), 100))
    with stranger.cursor() as cursor:
        # The advisory locks that a worker can be seen to take, and the one that it took in earlier days.
        with closing(db.connect(autocommit=False)) as worker:
            worker.cursor().execute("SELECT make_batches()")
            cursor.execute("SELECT classid, objid FROM pg_locks WHERE locktype = 'advisory'")
            seen = cursor.fetchall()
            worker.rollback()
        for high, low in seen:
            cursor.execute("SELECT pg_advisory_lock((%s::bigint << 32) | %s::bigint)", (high, low))
        cursor.execute("SELECT pg_advisory_lock(hashtextextended('car', 7206149128))")
        for statement in ("SELECT FROM device_locks FOR UPDATE", "BEGIN; LOCK TABLE device_locks IN ACCESS SHARE MODE",
                          "SELECT _lock_device('car')"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(statement)
            cursor.execute("ROLLBACK")
    db.rows("SELECT * FROM process_pending_gps()")
    assert waiting(db) == 0


def test_a_device_is_one_workers_until_its_transaction_ends(db, osrm):
    insert(db, "car", drive(osrm, recent_window(60), 100))
    with closing(db.connect(autocommit=False)) as worker:
        worker.cursor().execute("SELECT make_batches()")
        assert locked_devices(db) == 1
        db.rows("SELECT * FROM process_pending_gps()")
        assert waiting(db) == 20
        worker.rollback()
    db.rows("SELECT * FROM process_pending_gps()")
    assert waiting(db) == 0


@pytest.mark.parametrize("emptied", ["TRUNCATE device_locks", "DELETE FROM device_locks WHERE slot = _device_slot('car')"])
def test_rows_that_were_deleted_come_back_and_say_whose_a_device_is(db, osrm, emptied):
    fixes = drive(osrm, recent_window(60), 100)
    for device in "car", "bus":
        insert(db, device, fixes)
    db.rows(emptied)
    with closing(db.connect(autocommit=False)) as worker, closing(worker.cursor()) as cursor:
        cursor.execute("SELECT make_batches()")
        assert cursor.fetchone() == (2,)
        # Another takes nothing of what this one has, and does not wait for it.
        db.rows("SET statement_timeout = '20s'")
        assert db.value("SELECT make_batches()") == 0
        worker.rollback()
    db.rows("SELECT * FROM process_pending_gps()")
    assert waiting(db) == 0
    assert db.value("SELECT count(*) FROM device_locks") == 65536
    assert locked_devices(db) == 0


def test_who_forgets_a_device_has_it_though_all_rows_were_deleted(db):
    db.rows("TRUNCATE device_locks")
    with closing(db.connect(autocommit=False)) as session:
        session.cursor().execute("SELECT forget_device('car')")
        assert db.value("SELECT _lock_device('car')") is False
        session.commit()
    assert db.value("SELECT _lock_device('car')") is True


@pytest.fixture
def small_db(osrm, new_cluster):
    """A database whose server has room for few locks, and thousands of devices that wait."""
    with new_cluster("small", osrm.url, max_connections=20, max_locks_per_transaction=10) as cluster:
        database = Database(cluster, "postgres")
        database.rows("CREATE EXTENSION osrm_matcher")
        database.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
                         SELECT 'car-' || n, 24.94, 60.17, now() - interval '1 hour'
                           FROM generate_series(1, %s) n""", (MANY,))
        yield database
        database.disconnect()


@pytest.mark.parametrize("statement", [f"SELECT make_batches({MANY})", f"SELECT * FROM process_pending_gps({MANY}, 120)"])
def test_a_run_over_thousands_of_devices_takes_few_locks(small_db, statement):
    with closing(small_db.connect(autocommit=False)) as worker:
        worker.cursor().execute(statement)
        assert small_db.value("SELECT count(*) FROM pg_locks") < 150
        worker.commit()
    assert small_db.value("SELECT count(*) FROM processing_batches") == MANY
