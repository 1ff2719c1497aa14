"""One window that OSRM never answers, or always breaks on: the others go on as if it were not there,
it is asked about ever more rarely, and in the end it fails, with its points kept and a raw path."""

import time
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from drives import drive, insert, paths, process_all, recent_window, waiting
from harness.fault_server import FaultServer, coordinates
from harness.outcome import leftovers
from scratch import assert_as_from_scratch, forget_all

# Far from Helsinki's streets, so that no other device comes here.
NOWHERE = (-72.5, 44.2)
START = recent_window(60)


@pytest.fixture
def faults(db, osrm):
    """A server that hangs on what lies near NOWHERE."""
    with FaultServer(upstream=osrm) as server:
        server.poison = near_nowhere
        db.set("osrm_matcher.osrm_url", server.url)
        db.set("osrm_matcher.request_timeout", "400ms")
        yield server


def near_nowhere(longitude, latitude):
    return abs(longitude - NOWHERE[0]) < 1 and abs(latitude - NOWHERE[1]) < 1


def poisonous_fixes(count=40, interval=5):
    return [(NOWHERE[0] + 0.0004 * n, NOWHERE[1], START + timedelta(seconds=interval * n)) for n in range(count)]


def fill(db, osrm, devices=6):
    insert(db, "a-poison", poisonous_fixes())  # the first to be asked about
    for number in range(devices):
        insert(db, f"car-{number}", drive(osrm, START, 600, seed=number))


def run(db, arguments=""):
    return db.row(f"SELECT * FROM process_pending_gps({arguments})")


def batch(db):
    return db.row("SELECT *, next_attempt_at - updated_at AS pause FROM processing_batches WHERE device_id = 'a-poison'")


def make_due(db):
    db.rows("UPDATE processing_batches SET next_attempt_at = now() WHERE device_id = 'a-poison'")


@pytest.mark.parametrize("fault, code", [("hang", "TimedOut"), ("error_500", "Unavailable"),
                                         ("other_match", "Unavailable"), ("trickle", "TimedOut")])
def test_it_backs_off_then_fails_and_the_others_never_notice(db, faults, osrm, fault, code):
    faults.poison_fault = fault
    db.set("osrm_matcher.max_retries", 2)
    fill(db, osrm)
    row = run(db)
    assert (row["windows_failed"], row["windows_deferred"], row["osrm_error"]) == (0, 1, None)
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed AND device_id <> 'a-poison'") == 0
    first = batch(db)
    assert (first["status"], first["retry_count"], first["error_code"]) == ("pending", 1, code)
    assert first["error_message"]
    # A minute, give or take a quarter.
    assert timedelta(seconds=44) < first["pause"] < timedelta(seconds=76)

    asked = len(faults.matches(fault))
    assert run(db)["windows_deferred"] == 0
    assert len(faults.matches(fault)) == asked, "it was asked about before its pause was over"

    make_due(db)
    run(db)
    second = batch(db)
    assert second["retry_count"] == 2
    assert second["pause"] > first["pause"] * 1.5
    assert waiting(db) == 40

    make_due(db)
    assert run(db)["windows_failed"] == 1
    last = batch(db)
    assert (last["status"], last["error_code"], last["coordinate_count"]) == ("failed", code, 40)
    assert leftovers(db) == {}
    path = db.row("SELECT * FROM cached_polylines WHERE device_id = 'a-poison'")
    assert (path["match_status"], path["reason"]) == ("raw", code)

    asked = len(faults.matches(fault))
    assert run(db)["osrm_calls"] == 0
    assert len(faults.matches(fault)) == asked


def test_retry_failed_brings_it_back(db, faults, osrm):
    faults.poison_fault = "error_500"
    db.set("osrm_matcher.max_retries", 0)
    fill(db, osrm, devices=1)
    assert run(db)["windows_failed"] == 1
    faults.poison = lambda lon, lat: False
    db.rows("SELECT retry_failed()")
    process_all(db)
    # The real OSRM says of this place that it has no road: a verdict, not a failure.
    assert (batch(db)["status"], batch(db)["error_code"]) == ("completed", "NoSegment")
    assert leftovers(db) == {}


def test_a_new_point_gives_it_another_chance(db, faults, osrm):
    faults.poison_fault = "error_500"
    db.set("osrm_matcher.max_retries", 0)
    fill(db, osrm, devices=1)
    run(db)
    faults.poison = lambda lon, lat: False
    insert(db, "a-poison", [(*NOWHERE, START + timedelta(seconds=230))])
    process_all(db)
    assert batch(db)["status"] == "completed"
    assert leftovers(db) == {}


def test_a_timeout_makes_the_request_smaller_instead_of_repeating_it(db, faults, osrm):
    fill(db, osrm, devices=1)
    run(db)
    requests = [urlsplit(target) for target in faults.matches("hang")]
    sizes = [len(coordinates(request.path)) for request in requests]
    radiuses = [max(map(float, parse_qs(request.query)["radiuses"][0].split(";"))) for request in requests]
    assert 2 <= len(requests) <= 6
    assert len(set(requests)) == len(requests), "a request was repeated"
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0] / 2
    assert radiuses == sorted(radiuses, reverse=True) and radiuses[-1] < radiuses[0] / 2


def test_a_smaller_request_that_succeeds_is_enough(db, faults, osrm):
    """OSRM hangs on more than thirty points at once: no window fails of that."""
    insert(db, "car", drive(osrm, START, 300, interval=3))
    process_all(db)
    assert max(len(coordinates(target.split("?")[0])) for target in faults.matches()) > 30
    forget_all(db)
    faults.fault_for = lambda target: "hang" if len(coordinates(target)) > 30 else "forward"
    process_all(db)
    assert leftovers(db) == {}
    assert db.rows("SELECT DISTINCT status, error_code FROM processing_batches") == [("completed", None)]
    assert {row[7] for row in paths(db)} == {"matched"}


def test_what_smaller_requests_gave_in_the_last_attempt_is_drawn_and_told(db, faults, osrm):
    db.set("osrm_matcher.max_retries", 1)
    insert(db, "car", drive(osrm, START, 300, interval=3))
    faults.fault_for = lambda target: "hang" if len(coordinates(target)) > 30 else "forward"
    process_all(db)
    db.rows("UPDATE processing_batches SET settles_at = now()")
    process_all(db)
    assert db.rows("SELECT status, error_code, settles_at FROM processing_batches") == [("failed", "TimedOut", None)]
    assert {row[7] for row in paths(db)} == {"matched"}
    faults.fault_for = lambda target: "forward"
    assert db.value("SELECT retry_failed()") == 1
    assert_as_from_scratch(db)


def test_a_run_with_little_time_learns_of_it_too(db, faults, osrm):
    """The window is put off even where a run ends before the request has timed out: it would be asked
    about in every run, otherwise."""
    db.set("osrm_matcher.request_timeout", "60s")
    fill(db, osrm)
    begin = time.monotonic()
    row = run(db, "max_seconds => 2")
    assert time.monotonic() - begin < 3.5
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed AND device_id <> 'a-poison'") == 0
    assert row["windows_deferred"] == 1
    assert batch(db)["retry_count"] == 1
    asked = len(faults.matches("hang"))
    run(db)
    assert len(faults.matches("hang")) == asked


def test_its_attempt_is_over_in_less_than_twice_the_time_of_a_request(db, faults, osrm):
    db.set("osrm_matcher.request_timeout", "1s")
    fill(db, osrm, devices=1)
    begin = time.monotonic()
    run(db)
    assert time.monotonic() - begin < 2.6


def test_later_rounds_do_not_meet_it_again(db, faults, osrm):
    fill(db, osrm, devices=8)
    begin = time.monotonic()
    db.rows("CALL process_pending(30, 4)")
    assert time.monotonic() - begin < 4
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed AND device_id <> 'a-poison'") == 0
    assert batch(db)["retry_count"] == 1


def test_several_at_once_do_not_stop_the_rest(db, faults, osrm):
    """As many poisonous devices as there are threads, and more."""
    for number in range(6):
        insert(db, f"poison-{number}", poisonous_fixes())
        insert(db, f"car-{number}", drive(osrm, START, 600, seed=number))
    db.rows("CALL process_pending(20)")
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed AND device_id LIKE 'car%'") == 0
    assert db.rows("SELECT DISTINCT status, retry_count FROM processing_batches WHERE device_id LIKE 'poison%'"
                   ) == [("pending", 1)]


def test_verdicts_are_no_failures(db, osrm):
    """NoSegment and NoMatch cost no retry and are counted apart."""
    insert(db, "nowhere", poisonous_fixes())
    insert(db, "car", drive(osrm, START, 300))
    row = run(db)
    assert (row["windows_failed"], row["windows_deferred"]) == (0, 0)
    assert db.rows("SELECT device_id, status, error_code, retry_count FROM processing_batches"
                   " WHERE error_code IS NOT NULL") == [("nowhere", "completed", "NoSegment", 0)]
    assert run(db)["osrm_calls"] == 0
