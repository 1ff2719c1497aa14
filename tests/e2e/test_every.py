"""Where pg_cron knows minutes only, a call goes on looking for new points within its minute."""

import threading
from contextlib import closing, suppress

import pytest
from drives import drive, insert, recent_window
from psycopg2 import OperationalError


def test_points_that_come_while_a_call_waits_are_taken_by_it(db, osrm):
    def call():
        with closing(db.connect()) as session, closing(session.cursor()) as cursor, suppress(OperationalError):
            cursor.execute("CALL process_pending(30, every => '1 s')")

    worker = threading.Thread(target=call)
    worker.start()
    try:
        for number in range(3):
            insert(db, f"car-{number}", drive(osrm, recent_window(), 100))
            db.wait_until("SELECT count(*) = 0 FROM gps_coordinates WHERE NOT processed")
            assert worker.is_alive()
        oldest = db.value("""SELECT now() - xact_start < interval '5 s' FROM pg_stat_activity
                              WHERE query LIKE 'CALL%' AND xact_start IS NOT NULL""")
        assert oldest is not False
    finally:
        db.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL%' AND pid <> pg_backend_pid()")
        worker.join()


def test_a_call_ends_before_its_time_is_up(db):
    db.rows("CALL process_pending(2, every => '1 s')")
    assert db.value("SELECT count(*) FROM worker_runs") == 2


def test_a_call_ends_by_itself_before_statement_timeout_would_end_it(db):
    db.set("statement_timeout", "6s")
    db.rows("CALL process_pending(58, every => '1 s')")
    assert db.value("SELECT count(*) FROM worker_runs") >= 2


def test_looking_without_a_pause_is_refused(db):
    with pytest.raises(Exception, match="every 00:00:00.1"):
        db.rows("CALL process_pending(every => '100 ms')")

