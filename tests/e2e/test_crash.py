"""Killed in the middle of a run, by whatever: nothing is lost, doubled or stuck; the next run completes it."""

import os
import signal
import threading

import psycopg2
import pytest

from drives import drive, insert, paths, process_all, recent_window, stops, waiting
from harness.outcome import locked_devices
from harness.wait import wait_for

DEVICES = 12
SECONDS = 900


def fill(db, osrm):
    for number in range(DEVICES):
        insert(db, f"car-{number}", drive(osrm, recent_window(60), SECONDS, interval=3, seed=number))


@pytest.fixture(scope="module")
def expected(database_with_extension, osrm):
    """What one undisturbed run leaves."""
    with database_with_extension() as db:
        fill(db, osrm)
        process_all(db)
        return paths(db), stops(db)


class Run:
    """A run in another session, in rounds so small that it can be met between two of them."""

    def __init__(self, db):
        self._connection = db.connect()
        self.pid = self._connection.info.backend_pid
        self.error = None
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self):
        try:
            self._connection.cursor().execute("CALL process_pending(60, 3)")
        except psycopg2.Error as error:
            self.error = error

    def wait(self):
        self._thread.join(60)
        assert not self._thread.is_alive(), "the run hangs"
        self._connection.close()


def begin_run(db):
    """A run that has stored something and has more to do."""
    run = Run(db)
    db.wait_until("SELECT count(*) >= 6 FROM processing_batches WHERE status = 'completed'")
    assert waiting(db) > 0, "the run was over too soon to be disturbed"
    return run


def assert_completed_as(db, expected):
    process_all(db)
    assert (paths(db), stops(db)) == expected
    assert db.rows("SELECT DISTINCT status FROM processing_batches") == [("completed",)]
    assert locked_devices(db) == 0


def is_thrown_out(db):
    try:
        db.rows("SELECT 1")
    except psycopg2.Error:
        return True
    return False


def test_kill_9_of_the_backend(own_db, osrm, expected):
    fill(own_db, osrm)
    run = begin_run(own_db)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert run.error is not None
    # The postmaster throws everybody out before it recovers; a session from before must not be met.
    wait_for(lambda: is_thrown_out(own_db), 60, "the cluster to notice")
    own_db.disconnect()
    wait_for(lambda: own_db.value("SELECT 1"), 60, "the cluster to recover")
    assert_completed_as(own_db, expected)


@pytest.mark.parametrize("mode", ["fast", "immediate", "kill"])
def test_restart_of_the_cluster(own_db, osrm, expected, mode):
    fill(own_db, osrm)
    run = begin_run(own_db)
    own_db.cluster.stop(mode)
    run.wait()  # where only the postmaster was killed, the backend may even reach its end
    own_db.disconnect()
    own_db.cluster.start()
    assert_completed_as(own_db, expected)


def test_kill_9_of_osrm(db, own_osrm, osrm, expected):
    fill(db, osrm)
    run = begin_run(db)
    own_osrm.kill()
    run.wait()
    assert run.error is None, "that OSRM is away is not an error of the run"
    assert waiting(db) > 0
    assert db.value("SELECT max(retry_count) FROM processing_batches") == 0
    assert db.value("SELECT osrm_error FROM worker_runs ORDER BY id DESC LIMIT 1") is not None
    own_osrm.start()
    assert_completed_as(db, expected)
