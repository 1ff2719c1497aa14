"""OSRM as a whole is away, in each way in which servers fail: nothing is spent, nothing is lost, and
when it is back the backlog drains by itself."""

import time
from datetime import datetime, timedelta, timezone

import pytest

from drives import drive, insert, process_all, recent_window, waiting
from harness.fault_server import FaultServer, refusing_url, self_signed_certificate
from harness.outcome import leftovers

POINTS = 3 * 60


@pytest.fixture
def faults(db, osrm):
    with FaultServer(upstream=osrm) as server:
        db.set("osrm_matcher.osrm_url", server.url)
        yield server


@pytest.fixture
def pending(db, osrm):
    for number in range(3):
        insert(db, f"car-{number}", drive(osrm, recent_window(60), 300, seed=number))


def run(db):
    begin = time.monotonic()
    row = db.row("SELECT * FROM process_pending_gps()")
    return row, time.monotonic() - begin


def assert_nothing_spent(db, row, took, says):
    """The run ended soon, did nothing, and says why."""
    assert took < 5
    assert (row["windows_completed"], row["windows_failed"], row["points"], row["osrm_calls"]) == (0, 0, 0, 0)
    assert row["windows_deferred"] > 0
    assert says in row["osrm_error"]
    assert db.value("SELECT osrm_error FROM worker_runs ORDER BY id DESC LIMIT 1") == row["osrm_error"]
    assert waiting(db) == POINTS
    assert db.value("SELECT coalesce(sum(retry_count), 0) FROM processing_batches") == 0


def assert_drains(db):
    process_all(db)
    assert leftovers(db) == {}
    assert db.value("SELECT osrm_error FROM worker_runs ORDER BY id DESC LIMIT 1") is None


@pytest.mark.parametrize("fault, says", [
    ("hang", "no answer in time"),
    ("trickle", "no answer in time"),
    ("error_500", "HTTP 500"),
    ("error_502", "HTTP 502"),
    ("error_429", "HTTP 429: too many requests"),
    ("half_body", ""),
    ("other_json", "HTTP 200, not an answer of OSRM"),
    ("gigabyte", "an answer of more than"),
    ("redirect", "a redirect, which is not followed"),
])
def test_each_run_probes_once_and_ends(db, faults, pending, fault, says):
    with FaultServer() as elsewhere:
        faults.elsewhere = elsewhere.url
        faults.fault = fault
        for runs in (1, 2):
            assert_nothing_spent(db, *run(db), says)
            # A request that met a connection that broke may be repeated once.
            assert len(faults.requests) == len(faults.probes()) <= (2 * runs if fault == "half_body" else runs)
        assert not elsewhere.requests, "a redirect was followed"
    assert faults.bytes_sent < 1 << 28
    faults.fault = "forward"
    assert_drains(db)


def test_a_server_that_wants_to_be_left_alone_is(db, faults, pending):
    faults.fault, faults.retry_after = "error_429", 2
    assert_nothing_spent(db, *run(db), "HTTP 429: it wants no request for 2 s")
    faults.fault = "forward"
    row, _ = run(db)
    assert row["windows_completed"] == 0 and "HTTP 429" in row["osrm_error"]
    assert len(faults.requests) == 1, "it was asked again too soon"
    db.wait_until("SELECT clock_timestamp() > max(osrm_resume_at) FROM worker_runs", timeout=5)
    assert_drains(db)


def test_nobody_listens(db, osrm, pending):
    url, holder = refusing_url()
    with holder:
        db.set("osrm_matcher.osrm_url", url)
        assert_nothing_spent(db, *run(db), "connection refused")
    db.set("osrm_matcher.osrm_url", osrm.url)
    assert_drains(db)


def test_a_name_that_does_not_exist(db, osrm, pending):
    db.set("osrm_matcher.osrm_url", "http://osrm.invalid:5000")
    assert_nothing_spent(db, *run(db), "")
    db.set("osrm_matcher.osrm_url", osrm.url)
    assert_drains(db)


def test_no_route(db, osrm, pending):
    db.set("osrm_matcher.osrm_url", "http://192.0.2.1:5000")  # reserved for documentation
    assert_nothing_spent(db, *run(db), "")
    db.set("osrm_matcher.osrm_url", osrm.url)
    assert_drains(db)


def test_a_certificate_that_is_not_valid(db, osrm, pending, tmp_path):
    with FaultServer(upstream=osrm, certificate=self_signed_certificate(tmp_path)) as server:
        db.set("osrm_matcher.osrm_url", server.url)
        assert_nothing_spent(db, *run(db), "certificate")
        assert not server.requests
    db.set("osrm_matcher.osrm_url", osrm.url)
    assert_drains(db)


@pytest.mark.parametrize("path", ["/route/v1/driving", "/match/v1", "/match/v1/driving/"])
def test_an_address_that_ends_elsewhere_than_before_match_spends_no_points(db, osrm, pending, path):
    """OSRM is there and refuses whatever it is asked: lines would be raw, as if the map had no roads."""
    db.set("osrm_matcher.osrm_url", osrm.url + path)
    assert_nothing_spent(db, *run(db), "OSRM refuses every request: InvalidUrl: ")
    health = db.row("SELECT reachable, problem FROM osrm_health()")
    assert not health["reachable"] and "an address ends before /match" in health["problem"]
    db.set("osrm_matcher.osrm_url", osrm.url)
    assert_drains(db)


def test_the_procedure_ends_too(db, faults, pending):
    faults.fault = "hang"
    begin = time.monotonic()
    db.rows("CALL process_pending(50)")
    assert time.monotonic() - begin < 5
    assert waiting(db) == POINTS
    assert len(faults.requests) == 1


def test_batches_that_were_claimed_by_hand_go_back(db, faults, pending):
    db.rows("SELECT make_batches()")
    faults.fault = "error_502"
    row = db.row("SELECT * FROM match_batches(ARRAY(SELECT claim_batches()))")
    assert row["windows_deferred"] > 0 and "HTTP 502" in row["osrm_error"]
    assert db.rows("SELECT DISTINCT status, retry_count FROM processing_batches") == [("pending", 0)]
    faults.fault = "forward"
    assert_drains(db)


def test_it_goes_away_in_the_middle_and_what_is_done_stays(db, faults, pending):
    db.set("osrm_matcher.concurrency", 1)

    def spoil(lon, lat):
        return len(faults.matches()) >= 3
    faults.poison, faults.poison_fault = spoil, "error_502"
    row, took = run(db)
    assert took < 5
    assert "HTTP 502" in row["osrm_error"]
    assert row["windows_deferred"] > 0 and row["windows_failed"] == 0
    assert db.value("SELECT coalesce(sum(retry_count), 0) FROM processing_batches") == 0
    faults.poison = lambda lon, lat: False
    assert_drains(db)


def test_live_windows_come_first_when_it_is_back(db, faults, osrm):
    for number in range(4):
        insert(db, f"old-{number}", drive(osrm, recent_window(300), 1200, seed=number))
    faults.fault = "error_502"
    run(db)
    now = datetime.now(timezone.utc)
    insert(db, "live", drive(osrm, now - timedelta(seconds=50), 45))
    run(db)
    faults.fault = "forward"
    row = db.row("SELECT * FROM process_pending_gps(max_windows => 2)")
    assert row["windows_completed"] > 0
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed AND device_id = 'live'") == 0
    assert waiting(db) > 0
    assert_drains(db)


def test_no_storm_when_it_is_back(db, faults, osrm):
    faults.fault = "error_502"
    for number in range(8):
        insert(db, f"car-{number}", drive(osrm, recent_window(120), 900, seed=number))
    run(db)
    faults.most_at_once = 0
    faults.fault, faults.delay = "slow", 0.02
    assert_drains(db)
    assert faults.most_at_once <= int(db.value("SHOW osrm_matcher.concurrency"))


def test_status_says_since_when_and_why(db, faults, pending):
    faults.fault = "error_502"
    run(db)
    run(db)
    status = db.row("SELECT * FROM worker_status()")
    assert status["osrm_reachable"] is False
    assert "HTTP 502" in status["osrm_error"]
    assert status["osrm_since"] == db.value("SELECT min(started_at) FROM worker_runs")
    faults.fault = "forward"
    assert_drains(db)
    status = db.row("SELECT * FROM worker_status()")
    assert (status["osrm_reachable"], status["osrm_error"]) == (True, None)
