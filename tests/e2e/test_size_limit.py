"""A server with a limit lower than the setting: found out by halving, at once, and never seen by a user."""

import os

import pytest

from drives import drive, insert, paths, process_all, recent_window
from harness.fault_server import FaultServer, coordinates
from harness.osrm import Osrm
from harness.outcome import leftovers
from scratch import forget_all


@pytest.mark.parametrize("limit", [50, 20, 7, 4])
def test_a_lower_limit_is_found_out(db, osrm, limit):
    insert(db, "car", drive(osrm, recent_window(60), 600, interval=2))
    with Osrm(name=f"osrm-{limit}-{os.getpid()}", max_matching_size=limit) as small, FaultServer(upstream=small) as seen:
        db.set("osrm_matcher.osrm_url", seen.url)
        row = db.row("SELECT * FROM process_pending_gps()")
        assert (row["windows_failed"], row["windows_deferred"], row["osrm_error"]) == (0, 0, None)
        assert row["windows_completed"] > 0
        # Halved, not counted down: a handful of refusals for the whole run.
        refused = [target for target in seen.matches() if len(coordinates(target)) > limit]
        assert len(refused) <= 12
    assert leftovers(db) == {}
    assert db.rows("SELECT DISTINCT status, error_code FROM processing_batches") == [("completed", None)]
    assert {row[7] for row in paths(db)} == {"matched"}


def test_a_limit_of_who_stands_before_it_is_found_out_too(db, osrm):
    """A proxy that takes no longer addresses."""
    insert(db, "car", drive(osrm, recent_window(60), 600, interval=2))
    with FaultServer(upstream=osrm) as proxy:
        proxy.longest = 1000
        db.set("osrm_matcher.osrm_url", proxy.url)
        row = db.row("SELECT * FROM process_pending_gps()")
        assert (row["windows_failed"], row["windows_deferred"], row["osrm_error"]) == (0, 0, None)
        assert 0 < len(proxy.matches("error_414")) <= 12
    assert leftovers(db) == {}
    assert {row[7] for row in paths(db)} == {"matched"}


def test_a_higher_limit_changes_no_path(db, osrm):
    insert(db, "car", drive(osrm, recent_window(60), 600, interval=1))
    process_all(db)
    expected = paths(db)
    forget_all(db)
    with Osrm(name=f"osrm-large-{os.getpid()}", max_matching_size=1000) as large:
        db.set("osrm_matcher.osrm_url", large.url)
        db.set("osrm_matcher.max_matching_size", 1000)
        process_all(db)
    assert paths(db) == expected
