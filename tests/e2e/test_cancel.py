"""A run that waits for OSRM ends within about a second, whatever ends it, and leaves nothing behind:
no thread, no connection, no lock, and not a point changed."""

import os
import socket
import threading
import time

import psycopg2
import pytest

from drives import drive, insert, process_all, recent_window, waiting
from harness.fault_server import FaultServer
from harness.outcome import leftovers, locked_devices
from harness.traces import tcp_connections, threads
from harness.wait import wait_for

SOON = 1.5  # seconds


def hanging(osrm):
    """A server that is there, but answers no match."""
    server = FaultServer(upstream=osrm)
    server.poison = lambda lon, lat: abs(lon) > 1
    return server


@pytest.fixture
def faults(db, osrm):
    fill(db, osrm)
    with hanging(osrm) as server:
        db.set("osrm_matcher.osrm_url", server.url)
        db.set("osrm_matcher.request_timeout", "60s")
        yield server


def fill(db, osrm):
    for number in range(4):
        insert(db, f"car-{number}", drive(osrm, recent_window(60), 300, seed=number))


class Session:
    """A session whose statement runs on a thread, and what became of it."""

    def __init__(self, db, *preparation, statement="SELECT * FROM process_pending_gps()"):
        self.connection = db.connect()
        self.pid = self.connection.info.backend_pid
        for line in preparation:
            self.connection.cursor().execute(line)
        self.error = None
        self.ended = None
        self._thread = threading.Thread(target=self._run, args=(statement,), daemon=True)
        self._thread.start()

    def _run(self, statement):
        try:
            self.connection.cursor().execute(statement)
        except psycopg2.Error as error:
            self.error = error
        self.ended = time.monotonic()

    def wait(self, timeout=10):
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "the statement did not end"
        return self.error


def assert_nothing_left_in(db, session, faults):
    """The session lives on, and is as it was before."""
    wait_for(lambda: threads(session.pid) == 1, 2, "threads to end")
    assert tcp_connections(session.pid) == []
    wait_for(lambda: faults.open_connections == 0, 2, "connections to end")
    assert_nothing_changed(db)
    session.connection.cursor().execute("SELECT 1")
    session.connection.close()


def assert_nothing_changed(db):
    assert locked_devices(db) == 0
    assert waiting(db) == 4 * 60
    assert db.value("SELECT count(*) FROM processing_batches") == 0


def assert_the_next_run_completes_everything(db, osrm):
    db.set("osrm_matcher.osrm_url", osrm.url)
    process_all(db)
    assert leftovers(db) == {}


@pytest.mark.parametrize("statement", [
    "SELECT * FROM process_pending_gps()", "CALL process_pending()", "SELECT * FROM match_batches(%s)"])
def test_cancel(db, faults, osrm, statement):
    if "%s" in statement:
        db.rows("SELECT make_batches()")
        ids = [row[0] for row in db.rows("SELECT claim_batches()")]
        statement %= f"'{{{','.join(ids)}}}'"
    session = Session(db, statement=statement)
    faults.wait_for_matches(4)
    begin = time.monotonic()
    db.rows("SELECT pg_cancel_backend(%s)", [session.pid])
    assert session.wait().pgcode == "57014"
    assert session.ended - begin < SOON
    if "match_batches" in statement:
        db.rows("DELETE FROM processing_batches")
    assert_nothing_left_in(db, session, faults)
    assert_the_next_run_completes_everything(db, osrm)


def test_cancel_while_the_probe_waits(db, faults, osrm):
    faults.fault = "hang"
    session = Session(db)
    wait_for(faults.probes, 5, "the probe")
    begin = time.monotonic()
    db.rows("SELECT pg_cancel_backend(%s)", [session.pid])
    assert session.wait().pgcode == "57014"
    assert session.ended - begin < SOON
    assert_nothing_left_in(db, session, faults)


def test_cancel_while_an_answer_trickles_in(db, faults, osrm):
    faults.poison_fault = "trickle"
    session = Session(db)
    faults.wait_for_matches(4)
    begin = time.monotonic()
    db.rows("SELECT pg_cancel_backend(%s)", [session.pid])
    assert session.wait().pgcode == "57014"
    assert session.ended - begin < SOON
    assert_nothing_left_in(db, session, faults)


def test_cancel_of_a_question_for_health(db, faults):
    faults.fault = "hang"
    session = Session(db, statement="SELECT * FROM osrm_health()")
    wait_for(lambda: faults.requests, 5, "the question")
    begin = time.monotonic()
    db.rows("SELECT pg_cancel_backend(%s)", [session.pid])
    assert session.wait().pgcode == "57014"
    assert session.ended - begin < SOON
    assert_nothing_left_in(db, session, faults)


def test_statement_timeout(db, faults, osrm):
    begin = time.monotonic()
    session = Session(db, "SET statement_timeout = '500ms'")
    assert session.wait().pgcode == "57014"
    assert session.ended - begin < 0.5 + SOON
    assert_nothing_left_in(db, session, faults)
    assert_the_next_run_completes_everything(db, osrm)


def test_terminate(db, faults, osrm):
    session = Session(db)
    faults.wait_for_matches(4)
    begin = time.monotonic()
    db.rows("SELECT pg_terminate_backend(%s)", [session.pid])
    assert isinstance(session.wait(), psycopg2.OperationalError)
    assert session.ended - begin < SOON
    wait_for(lambda: not os.path.exists(f"/proc/{session.pid}"), SOON, "the backend to end")
    wait_for(lambda: faults.open_connections == 0, 2, "connections to end")
    assert_nothing_changed(db)
    assert_the_next_run_completes_everything(db, osrm)


def test_the_client_is_gone(db, faults, osrm):
    """The server looks whether the client is there, where that is switched on."""
    session = Session(db, "SET client_connection_check_interval = '200ms'")
    faults.wait_for_matches(4)
    with socket.socket(fileno=os.dup(session.connection.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)
    wait_for(lambda: not os.path.exists(f"/proc/{session.pid}"), 3, "the backend to end")
    assert_nothing_changed(db)


def test_idle_in_a_transaction(db, osrm):
    """What a run did goes with the transaction that its caller forgot, and so do its locks."""
    fill(db, osrm)
    connection = db.connect(autocommit=False)
    cursor = connection.cursor()
    cursor.execute("SET idle_in_transaction_session_timeout = '300ms'; SELECT * FROM process_pending_gps()")
    pid = connection.info.backend_pid
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 3, "the session to be ended")
    with pytest.raises(psycopg2.Error):
        cursor.execute("SELECT 1")
    assert_nothing_changed(db)
    assert_the_next_run_completes_everything(db, osrm)


def test_after_a_run_the_session_has_no_thread_and_no_connection(db, osrm):
    fill(db, osrm)
    session = Session(db)
    assert session.wait() is None
    assert threads(session.pid) == 1
    assert tcp_connections(session.pid) == []
    assert locked_devices(db) == 0
    session.connection.close()


def test_fast_shutdown(own_db, osrm):
    fill(own_db, osrm)
    with hanging(osrm) as server:
        own_db.set("osrm_matcher.osrm_url", server.url)
        own_db.set("osrm_matcher.request_timeout", "60s")
        session = Session(own_db)
        server.wait_for_matches(4)
        own_db.disconnect()
        begin = time.monotonic()
        own_db.cluster.stop("fast")
        took = time.monotonic() - begin
        assert session.wait() is not None
        assert session.ended - begin < SOON
        assert took < 5  # the checkpoint takes its time
        own_db.cluster.start()
        assert_nothing_changed(own_db)
    assert_the_next_run_completes_everything(own_db, osrm)
