"""A server that closes connections is not a server that fails."""

import pytest

from drives import drive, insert, paths, process_all, recent_window
from harness.fault_server import FaultServer
from harness.outcome import leftovers
from scratch import forget_all


@pytest.fixture
def faults(db, osrm):
    for number in range(4):
        insert(db, f"car-{number}", drive(osrm, recent_window(60), 1200, seed=number))
    with FaultServer(upstream=osrm) as server:
        db.set("osrm_matcher.osrm_url", server.url)
        yield server


@pytest.fixture
def expected(db, faults):
    process_all(db)
    expected = paths(db)
    forget_all(db)
    faults.requests.clear()
    faults.connections_made = 0
    return expected


def assert_unharmed(db, expected):
    row = db.row("SELECT * FROM process_pending_gps()")
    assert (row["windows_failed"], row["windows_deferred"], row["osrm_error"]) == (0, 0, None)
    assert leftovers(db) == {}
    assert paths(db) == expected


def test_closed_after_some_requests(db, faults, expected):
    faults.close_after = 3
    assert_unharmed(db, expected)


def test_closed_when_idle(db, faults, expected):
    """So short an idle time that some requests meet a connection that is just being closed."""
    faults.close_idle = 0.002
    assert_unharmed(db, expected)


def test_broken_in_the_middle_of_an_answer(db, faults, expected):
    faults.close_in_the_middle_of = 10
    assert_unharmed(db, expected)


def test_connections_are_reused(db, faults, expected):
    assert_unharmed(db, expected)
    assert faults.connections_made <= 2 * int(db.value("SHOW osrm_matcher.concurrency"))
    assert len(faults.matches()) > 20
