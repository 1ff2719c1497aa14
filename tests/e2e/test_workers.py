"""Several workers at once: they share the work, nothing is done twice, nothing is lost."""

import threading
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest

from drives import drive, insert, paths, process_all, recent_window, slot_start, waiting

DEVICES = 24
WINDOWS_EACH = 3


def fill(db, osrm):
    for number in range(DEVICES):
        seconds = WINDOWS_EACH * 300
        insert(db, f"car-{number}", drive(osrm, recent_window(60), seconds, interval=3, seed=number))


def present_slot():
    return slot_start(datetime.now(timezone.utc), 5)


@pytest.mark.parametrize("before_edge", [0, 80], ids=["of one slot", "of two slots"])
def test_live_windows_that_several_workers_find_at_once_are_taken_once(db, osrm, before_edge):
    start = present_slot() - timedelta(seconds=before_edge)
    for number in range(200):
        insert(db, f"car-{number}", drive(osrm, start, 120, interval=3, seed=number % 10))
    gate = threading.Barrier(6)

    def work():
        with closing(db.connect()) as session, session.cursor() as cursor:
            gate.wait()
            cursor.execute("CALL process_pending(60, 20)")

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waiting(db) == 0
    assert db.value("SELECT sum(windows_completed) FROM worker_runs") == db.value("SELECT count(*) FROM processing_batches")


@pytest.mark.parametrize("older, newer", [("parted", "parted"), ("car-160", "car-12")], ids=["of one device", "of two with one lock"])
def test_who_gets_a_device_takes_all_live_windows_that_its_lock_kept_from_others(db, osrm, older, newer):
    """What was passed by may have been put off by the worker that had the device, which then finds it taken."""
    assert db.value("SELECT _device_slot(%s) = _device_slot(%s)", (older, newer))
    slot = present_slot()
    insert(db, older, drive(osrm, slot - timedelta(minutes=3), 60, interval=3))
    insert(db, "first", drive(osrm, slot - timedelta(minutes=2), 60, interval=3, seed=2))
    insert(db, "other", drive(osrm, slot - timedelta(minutes=1), 30, interval=3, seed=3))
    insert(db, newer, drive(osrm, slot, 30, interval=3))
    with closing(db.connect()) as holder, closing(db.connect()) as worker:
        holder.autocommit = False
        of_holder, of_worker = holder.cursor(), worker.cursor()
        of_holder.execute("SELECT _lock_device(%s)", (older,))
        # Looks for all live windows, passes the oldest by and has enough with the next.
        of_worker.execute("SELECT run_id FROM _process_round(NULL, 1, 50)")
        (run,) = of_worker.fetchone()
        assert db.rows("SELECT DISTINCT device_id FROM cached_polylines") == [("first",)]
        db.rows("SELECT * FROM process_pending_gps()")
        holder.rollback()
        of_worker.execute("SELECT * FROM _process_round(%s, 10, 50)", (run,))
    assert waiting(db) == 0


def test_what_a_lock_kept_from_a_worker_is_looked_for_once_more_after_all_else(db, osrm):
    """Whoever had the lock may have had it for another device, and may not come back."""
    slot = present_slot()
    insert(db, "car-12", drive(osrm, slot - timedelta(minutes=3), 60, interval=3))
    insert(db, "other", drive(osrm, slot - timedelta(minutes=2), 60, interval=3, seed=2))
    with closing(db.connect(autocommit=False)) as holder, closing(db.connect()) as worker:
        of_holder, of_worker = holder.cursor(), worker.cursor()
        of_holder.execute("SELECT _lock_device('car-160')")
        of_worker.execute("SELECT run_id FROM _process_round(NULL, 1, 50)")
        (run,) = of_worker.fetchone()
        assert db.rows("SELECT DISTINCT device_id FROM cached_polylines") == [("other",)]
        holder.rollback()
        of_worker.execute("SELECT * FROM _process_round(%s, 50, 50)", (run,))
    assert waiting(db) == 0


def run_at_once(db, workers):
    """Lets so many sessions work until nothing is left; returns the windows that each completed."""
    completed = [0] * workers
    gate = threading.Barrier(workers)

    def work(number):
        connection = db.connect()
        with connection.cursor() as cursor:
            gate.wait()
            while True:
                # A device at a time: a window whose neighbour comes later would rightly be done again.
                cursor.execute(f"SELECT windows_completed FROM process_pending_gps({WINDOWS_EACH}, 60)")
                (windows,) = cursor.fetchone()
                if windows == 0:
                    break
                completed[number] += windows
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return completed


def test_two_workers_do_each_window_once_and_leave_what_one_would(db, osrm):
    fill(db, osrm)
    process_all(db)
    alone = paths(db)
    db.rows("TRUNCATE gps_coordinates, processing_batches, known_seams, cached_polylines, stops, worker_runs")

    fill(db, osrm)
    completed = run_at_once(db, workers=2)
    assert waiting(db) == 0
    assert paths(db) == alone
    assert sum(completed) == DEVICES * WINDOWS_EACH, "a window was done twice, or not at all"
    assert all(completed), "one worker did everything"
    assert db.rows("SELECT DISTINCT status FROM processing_batches") == [("completed",)]
