"""Several OSRM servers: requests go round, one that fails is left out, the others carry the load."""

from contextlib import ExitStack, closing

import psycopg2
import pytest

from backlog import assert_all_done_at_once, fill, while_it_is_worked_off, work_off
from drives import drive, insert, paths, recent_window
from harness.fault_server import FaultServer, refusing_url
from harness.osrm import Osrm

TURNED_AWAY = "HTTP 429: it wants no request for 600 s"


@pytest.fixture
def pair(db, osrm):
    """Two servers that can be spoiled, both set."""
    with FaultServer(upstream=osrm) as first, FaultServer(upstream=osrm) as second:
        db.set("osrm_matcher.osrm_url", f"{first.url}, {second.url}")
        yield first, second


@pytest.fixture
def real_pair(db):
    with ExitStack() as stack:
        servers = [stack.enter_context(Osrm(name=f"osrm-pair-{name}")) for name in ("a", "b")]
        db.set("osrm_matcher.osrm_url", " ".join(server.url for server in servers))
        yield servers


def servers(db):
    return db.rows("SELECT in_use, problem FROM get_osrm_servers()")


def let_the_time_pass(db):
    """As if the time were over for which servers are left out."""
    db.rows("""UPDATE worker_runs SET servers_left_out =
                   (SELECT jsonb_agg(s || jsonb_build_object('until', now())) FROM jsonb_array_elements(servers_left_out) s)""")


def test_requests_go_round(db, osrm, pair):
    fill(db, osrm)
    assert servers(db) == [(None, None), (None, None)]
    work_off(db)
    assert_all_done_at_once(db)
    counts = [len(server.matches()) for server in pair]
    assert sum(counts) == db.value("SELECT sum(osrm_calls) FROM worker_runs")
    assert min(counts) > sum(counts) / 4
    assert [len(server.probes()) for server in pair] == [1, 1]
    assert servers(db) == [(True, None), (True, None)]


def test_a_server_is_killed_in_the_middle_of_a_backlog(db, osrm, real_pair):
    fill(db, osrm, devices=60)
    while_it_is_worked_off(db, real_pair[0].kill)
    assert_all_done_at_once(db)
    assert [in_use for in_use, _ in servers(db)] == [False, True]
    with_one_killed = paths(db)

    db.rows("TRUNCATE gps_coordinates, processing_batches, known_seams, cached_polylines, stops, worker_runs")
    db.set("osrm_matcher.osrm_url", osrm.url)
    db.disconnect()
    fill(db, osrm, devices=60)
    work_off(db)
    assert paths(db) == with_one_killed


def test_servers_may_be_restarted_one_after_the_other(db, osrm, real_pair):
    first, second = real_pair
    first.kill()
    fill(db, osrm)
    work_off(db)
    assert [in_use for in_use, _ in servers(db)] == [False, True]
    first.start()
    second.kill()
    fill(db, osrm, prefix="bus")
    work_off(db)
    assert_all_done_at_once(db)
    assert [in_use for in_use, _ in servers(db)] == [True, False]


@pytest.mark.parametrize("fault, says", [
    ("hang", "no answer in time"),
    ("error_500", "HTTP 500"),
    ("error_502", "HTTP 502"),
    ("error_429", "HTTP 429: too many requests"),
    ("half_body", ""),
    ("other_json", "HTTP 200, not an answer of OSRM"),
])
def test_one_that_is_not_well_is_left_out_for_a_while_and_comes_back(db, osrm, pair, fault, says):
    bad, good = pair
    bad.fault = fault
    fill(db, osrm)
    work_off(db)
    assert_all_done_at_once(db)
    # What breaks off is asked for once more: a load balancer may have cut it.
    asked = 2 if fault == "half_body" else 1
    assert (len(bad.requests), len(bad.probes())) == (asked, asked)
    (in_use, problem), other = servers(db)
    assert in_use is False and says in problem and other == (True, None)

    fill(db, osrm, prefix="bus")
    work_off(db)
    db.rows("SELECT process_pending_gps()")
    assert len(bad.requests) == asked, "it was asked again too soon"
    assert servers(db)[0] == (False, problem), "a run with nothing to do has forgotten it"

    bad.fault = "forward"
    let_the_time_pass(db)
    fill(db, osrm, prefix="van")
    work_off(db)
    assert_all_done_at_once(db)
    assert bad.matches("forward")
    assert servers(db) == [(True, None), (True, None)]


@pytest.mark.parametrize("fault", ["hang", "error_500", "half_body"])
def test_what_one_fails_at_is_asked_of_another(db, osrm, pair, fault):
    """The server gives its signs of life, and does not match."""
    bad, good = pair
    bad.poison, bad.poison_fault = (lambda lon, lat: lon > 1), fault
    db.set("osrm_matcher.request_timeout", "1s")
    fill(db, osrm)
    work_off(db)
    assert_all_done_at_once(db)
    assert bad.matches()
    assert [in_use for in_use, _ in servers(db)] == [False, True]


def test_what_no_server_answers_is_the_windows_own(db, osrm, pair):
    poisonous = drive(osrm, recent_window(90), 240, seed=99)
    db.set("osrm_matcher.request_timeout", "500ms")
    for server in pair:
        server.poison, server.poison_fault = (lambda lon, lat: lon > 1), "hang"
    insert(db, "poisonous", poisonous)
    row = db.row("SELECT * FROM process_pending_gps()")
    assert (row["windows_deferred"], row["osrm_error"]) == (1, None)
    assert db.rows("SELECT status, retry_count, error_code FROM processing_batches") == [("pending", 1, "TimedOut")]
    assert servers(db) == [(True, None), (True, None)]


def test_a_server_that_hangs_when_the_time_is_up_costs_no_window_an_attempt(db, osrm, pair):
    bad, _ = pair
    bad.poison, bad.poison_fault = (lambda lon, lat: lon > 1), "hang"
    fill(db, osrm)
    row = db.row("SELECT * FROM process_pending_gps(500, 2)")
    assert bad.matches() and row["windows_completed"] > 0
    assert db.value("SELECT coalesce(sum(retry_count), 0) FROM processing_batches") == 0
    bad.poison = lambda lon, lat: False
    work_off(db)
    assert_all_done_at_once(db)


def test_one_that_wants_to_be_left_alone_is_while_the_other_works(db, osrm, pair):
    busy, _ = pair
    busy.fault, busy.retry_after = "error_429", 600
    for prefix in ("car", "bus"):
        fill(db, osrm, prefix=prefix)
        work_off(db)
    assert_all_done_at_once(db)
    assert len(busy.requests) == 1
    assert servers(db)[0] == (False, TURNED_AWAY)


def test_where_all_are_away_each_run_asks_each_once_and_ends(db, osrm, pair):
    url, holder = refusing_url()
    with holder:
        pair[0].fault = pair[1].fault = "error_502"
        db.set("osrm_matcher.osrm_url", f"{pair[0].url},{pair[1].url},{url}")
        fill(db, osrm, devices=1)
        for runs in (1, 2):
            row = db.row("SELECT * FROM process_pending_gps()")
            assert (row["windows_completed"], row["windows_failed"], row["osrm_calls"]) == (0, 0, 0)
            assert row["windows_deferred"] > 0
            assert row["osrm_error"].startswith("server 1: HTTP 502") and "server 3: connection refused" in row["osrm_error"]
            assert [len(server.requests) for server in pair] == [runs, runs]
        assert db.value("SELECT count(*) FROM worker_alerts() WHERE problem = 'osrm_away'") == 1
        assert db.value("SELECT osrm_reachable FROM worker_status()") is False
        assert db.value("SELECT sum(retry_count) FROM processing_batches") in (None, 0)
        assert [in_use for in_use, _ in servers(db)] == [False] * 3
        pair[1].fault = "forward"
        work_off(db)
        assert_all_done_at_once(db)
        assert [in_use for in_use, _ in servers(db)] == [False, True, False]


def test_while_all_want_to_be_left_alone_none_is_asked(db, osrm, pair):
    for server in pair:
        server.fault, server.retry_after = "error_429", 600
    fill(db, osrm, devices=1)
    for _ in range(2):
        assert TURNED_AWAY in db.row("SELECT * FROM process_pending_gps()")["osrm_error"]
    assert [len(server.requests) for server in pair] == [1, 1]


def test_alerts_and_health_tell_of_each_server(db, osrm, pair):
    pair[0].fault = "error_502"
    fill(db, osrm, devices=1)
    work_off(db)
    ((severity, message),) = db.rows("SELECT severity, message FROM worker_alerts() WHERE problem = 'server_left_out'")
    assert severity == "warning" and message.startswith(f"{pair[0].url} is left out since ") and "HTTP 502" in message
    rows = db.rows("SELECT server, reachable, problem IS NULL FROM osrm_health()")
    assert rows == [(pair[0].url, False, False), (pair[1].url, True, True)]
    ((asked_again,),) = db.rows("""SELECT asked_again_at BETWEEN now() AND now() + interval '1 min'
                                     FROM get_osrm_servers() WHERE NOT in_use""")
    assert asked_again


def refusal(db, statement):
    with closing(db.connect()) as session, session.cursor() as cursor:
        cursor.execute("LOAD 'osrm_matcher'")
        with pytest.raises(psycopg2.Error) as caught:
            cursor.execute(statement)
    return caught.value


@pytest.mark.parametrize("how", ["SET {} = '{}'", "ALTER DATABASE {db} SET {} = '{}'", "ALTER SYSTEM SET {} = '{}'"])
@pytest.mark.parametrize("bad, why", [
    ("http://user:secret@b", "it must not carry a login"),
    ("osrm:5000", "it must begin with http:// or https://"),
    ("http://a/", "it is named twice"),
    ("http://osrm:50O0", "its port must be a number from 1 to 65535"),
])
def test_each_address_of_a_list_is_checked_when_it_is_set(db, how, bad, why):
    error = refusal(db, how.format("osrm_matcher.osrm_url", f"http://a, {bad}", db=db.name))
    assert error.pgcode == "22023"
    assert error.diag.message_detail == f'"{bad}": {why}'
    assert error.diag.message_hint.startswith("Name servers such as http://")


def test_a_list_that_was_set_before_the_library_was_there_asks_nobody(db, osrm):
    db.set("osrm_matcher.osrm_url", "http://a, http://user:secret@b")
    fill(db, osrm, devices=1)
    db.disconnect()
    with pytest.raises(psycopg2.Error) as caught:
        db.rows("SELECT * FROM process_pending_gps()")
    assert caught.value.pgcode == "22023"
    says = "the address of OSRM cannot be used: server 2: it must not carry a login"
    assert caught.value.diag.message_primary == says
    assert db.rows("SELECT severity, message FROM worker_alerts() WHERE problem = 'bad_address'") == [
        ("critical", f"nothing is processed: {says}")]
    assert db.rows("SELECT server, in_use, problem FROM get_osrm_servers()") == [(None, False, says)]
    assert db.value("SELECT set_aside FROM worker_status()") == [f"nothing is processed: {says}"]
    with pytest.raises(psycopg2.errors.InvalidParameterValue):
        db.rows("SELECT * FROM osrm_health()")
    db.set("osrm_matcher.osrm_url", osrm.url)
    assert db.rows("SELECT * FROM worker_alerts() WHERE problem = 'bad_address'") == []


@pytest.mark.parametrize("how", ["SET {} = '{}'", "ALTER DATABASE {db} SET {} = '{}'", "ALTER SYSTEM SET {} = '{}'"])
def test_a_profile_is_checked_when_it_is_set(db, how):
    error = refusal(db, how.format("osrm_matcher.profile", "../car", db=db.name))
    assert error.pgcode == "22023"
    assert error.diag.message_detail == "a profile may hold letters, digits, '_', '-' and '.' only"


def test_a_profile_that_was_set_before_the_library_was_there_is_named_by_its_error(db, osrm):
    db.set("osrm_matcher.profile", "a b")
    fill(db, osrm, devices=1)
    db.disconnect()
    with pytest.raises(psycopg2.Error) as caught:
        db.rows("SELECT * FROM process_pending_gps()")
    assert caught.value.pgcode == "22023"
    assert caught.value.diag.message_primary.startswith("osrm_matcher.profile cannot be used: a profile may hold")
    assert "osrm_matcher.profile = 'driving'" in caught.value.diag.message_hint
    ((message,),) = db.rows("SELECT message FROM worker_alerts() WHERE problem = 'bad_address'")
    assert message == f"nothing is processed: {caught.value.diag.message_primary}"
