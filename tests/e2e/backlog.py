"""A backlog to work off, with something that happens in the middle of it."""

import threading
from contextlib import closing

from drives import drive, insert, recent_window, waiting
from harness.outcome import leftovers
from harness.wait import wait_for


def fill(db, osrm, devices=6, seconds=900, prefix="car"):
    for number in range(devices):
        insert(db, f"{prefix}-{number}", drive(osrm, recent_window(90), seconds, seed=number))


def work_off(db):
    """A run by hand, which looks for all that waits, however soon after another it is."""
    return db.row("SELECT * FROM process_pending_gps(5000, 120)")


def assert_all_done_at_once(db):
    """Everything is matched, and no window had to be tried twice."""
    assert waiting(db) == 0
    assert leftovers(db) == {}
    assert db.rows("SELECT DISTINCT status, retry_count, error_code FROM processing_batches") == [("completed", 0, None)]
    assert db.rows("SELECT DISTINCT match_status FROM cached_polylines") == [("matched",)]


def while_it_is_worked_off(db, happens):
    """Works everything off, round by round, and lets something happen once there are paths."""
    left = []

    def in_the_middle():
        with closing(db.connect()) as session, session.cursor() as cursor:
            def value(query):
                cursor.execute(query)
                return cursor.fetchone()[0]

            wait_for(lambda: value("SELECT count(*) FROM cached_polylines") > 0, 30, "a path", pause=0.01)
            happens()
            left.append(value("SELECT count(*) FROM gps_coordinates WHERE NOT processed"))

    other = threading.Thread(target=in_the_middle)
    other.start()
    db.rows("CALL process_pending(120, 20)")
    other.join()
    assert left and left[0] > 0, "it happened too late"
