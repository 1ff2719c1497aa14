"""OSRM is there, and takes its time: rounds end all the same, and what there was no time for is the next round's."""

from datetime import datetime, timedelta, timezone

import psycopg2
import pytest
from drives import drive, insert, paths, process_all, recent_window, waiting
from harness.fault_server import FaultServer
from harness.outcome import leftovers
from scratch import forget_all

DEVICES = 12


@pytest.fixture
def slow(db, osrm):
    with FaultServer(upstream=osrm) as server:
        server.fault, server.delay = "slow", 0.5
        db.set("osrm_matcher.osrm_url", server.url)
        db.set("osrm_matcher.concurrency", "2")
        yield server


def fill(db, osrm, start):
    for number in range(DEVICES):
        insert(db, f"car-{number}", drive(osrm, start, 200, seed=number))


@pytest.mark.parametrize("start", ["live", "old"])
def test_a_run_commits_while_it_goes_on(db, osrm, slow, start):
    fill(db, osrm, recent_window() if start == "old" else datetime.now(timezone.utc) - timedelta(seconds=200))
    process_all(db)
    assert leftovers(db) == {}
    assert db.value("SELECT count(DISTINCT outcome_xid) FROM processing_batches") > 1
    run = db.row("SELECT count(*), sum(windows_deferred) AS deferred, sum(windows_failed) AS failed, sum(points) AS points"
                 " FROM worker_runs")
    assert run == {"count": 1, "deferred": 0, "failed": 0, "points": DEVICES * 40}
    if start == "old":
        made = paths(db)
        slow.fault = "forward"
        forget_all(db)
        process_all(db)
        assert paths(db) == made


def test_a_device_of_which_a_round_has_time_for_a_few_windows_only_gets_on(db, osrm, slow):
    insert(db, "car", drive(osrm, recent_window(120), 3600))
    db.rows("CALL process_pending(60)")
    assert waiting(db) == 0
    process_all(db)
    assert leftovers(db) == {}


def test_a_run_that_is_ended_by_a_timeout_has_got_on(db, osrm, slow):
    slow.delay = 0.25  # a device's requests, one after the other, take a third of the time, on a busy machine, too
    fill(db, osrm, recent_window())
    db.rows("SET statement_timeout = '3s'")
    left = [waiting(db)]
    while left[-1]:
        try:
            db.rows("CALL process_pending(60)")
        except psycopg2.errors.QueryCanceled:
            pass
        left.append(waiting(db))
        assert left[-1] < left[-2]
    assert leftovers(db) == {}


def test_no_window_is_to_blame_that_a_slow_server_had_it_when_a_run_ended(db, osrm, slow):
    fill(db, osrm, recent_window())
    slow.delay = 0.7
    for _ in range(3):
        db.rows("CALL process_pending(2)")
    assert waiting(db) > 0
    assert db.value("SELECT count(*) FROM processing_batches WHERE error_code IS NOT NULL OR retry_count > 0") == 0


def test_a_round_is_shorter_than_a_transaction_may_be(db, osrm, slow):
    fill(db, osrm, recent_window())
    if db.value("SELECT current_setting('server_version_num')::int") >= 170000:
        db.rows("SET transaction_timeout = '3s'")
    db.rows("SET idle_in_transaction_session_timeout = '3s'")
    process_all(db)
    assert leftovers(db) == {}


def test_a_server_that_is_known_to_be_slow_is_not_away(db, osrm, slow):
    slow.delay = 4.5
    insert(db, "car", drive(osrm, recent_window(), 60))
    assert "a greater osrm_matcher.request_timeout" in db.row("SELECT * FROM process_pending_gps()")["osrm_error"]
    db.set("osrm_matcher.request_timeout", "20s")
    db.rows("UPDATE worker_runs SET servers_left_out = NULL")
    process_all(db)
    assert db.value("SELECT match_status FROM cached_polylines") == "matched"
