"""Servers of one group of devices that fail: the others go on as if nothing were, and nobody is asked too often."""

import time
from contextlib import ExitStack, closing

import pytest
from backlog import assert_all_done_at_once, fill, while_it_is_worked_off, work_off
from drives import drive, insert, paths, recent_window, waiting
from grouped import make_group
from test_cancel import SOON, Session, assert_nothing_left_in, hanging
from test_several_servers import TURNED_AWAY, let_the_time_pass

from harness.fault_server import FaultServer
from harness.osrm import Osrm
from harness.outcome import leftovers

WAITING = "SELECT DISTINCT left(device_id, 3) FROM gps_coordinates WHERE NOT processed ORDER BY 1"


@pytest.fixture
def trucks(db, osrm):
    """The server of a group, which can be spoiled."""
    with FaultServer(upstream=osrm) as server:
        make_group(db, "trucks", server.url, pattern="^truck-")
        yield server


@pytest.fixture
def cars(db, osrm):
    """The server of devices in no group, which can be spoiled."""
    with FaultServer(upstream=osrm) as server:
        db.set("osrm_matcher.osrm_url", server.url)
        yield server


def alerts(db, problem):
    return db.rows("SELECT severity, message FROM worker_alerts() WHERE problem = %s", (problem,))


def test_each_group_asks_its_own_servers_alone(db, osrm, cars, trucks):
    fill(db, osrm, devices=2)
    fill(db, osrm, devices=2, prefix="truck")
    work_off(db)
    assert_all_done_at_once(db)
    for server, device in ((cars, "car-0"), (trucks, "truck-0")):
        assert server.matches() and len(server.probes()) == 1
        assert db.value("SELECT count(*) FROM processing_batches WHERE device_id = %s", (device,)) > 0
    assert len(cars.matches()) == len(trucks.matches())
    assert db.value("SELECT osrm_calls FROM worker_runs") == len(cars.matches()) + len(trucks.matches())
    assert db.rows("SELECT server, in_use, osrm_group FROM get_osrm_servers()") == [
        (cars.url, True, None), (trucks.url, True, "trucks")]
    assert db.rows("SELECT server, reachable, osrm_group FROM osrm_health()") == [
        (cars.url, True, None), (trucks.url, True, "trucks")]


@pytest.mark.parametrize("fault", ["hang", "error_502"])
def test_the_others_are_done_while_a_group_is_away(db, osrm, cars, trucks, fault):
    trucks.fault = fault
    fill(db, osrm, devices=3)
    fill(db, osrm, devices=3, prefix="truck")
    row = work_off(db)
    assert row["osrm_error"] is None and row["windows_failed"] == 0 and row["windows_deferred"] > 0
    assert db.rows(WAITING) == [("tru",)]
    assert db.value("SELECT count(*) FROM processing_batches WHERE device_id LIKE 'truck%'") == 0
    assert len(trucks.requests) == 1
    ((severity, message),) = alerts(db, "group_away")
    assert severity == "critical" and message.startswith(f"devices of group trucks wait: {trucks.url} has not answered since ")
    assert db.value("SELECT set_aside FROM worker_status()") == [message]
    assert db.value("SELECT osrm_reachable FROM worker_status()") is True
    assert alerts(db, "osrm_away") == alerts(db, "server_left_out") == []

    trucks.fault = "forward"
    work_off(db)
    assert_all_done_at_once(db)
    assert alerts(db, "group_away") == []


def test_groups_go_on_while_the_servers_of_devices_in_none_are_away(db, osrm, cars, trucks):
    cars.fault = "error_502"
    fill(db, osrm, devices=3)
    fill(db, osrm, devices=3, prefix="truck")
    row = work_off(db)
    assert row["osrm_error"] is None
    assert db.rows(WAITING) == [("car",)]
    ((_, message),) = alerts(db, "group_away")
    assert message.startswith("devices in no group wait: ")
    cars.fault = "forward"
    work_off(db)
    assert_all_done_at_once(db)


def test_where_all_groups_are_away_a_run_asks_each_once_and_says_why(db, osrm, cars, trucks):
    cars.fault = trucks.fault = "error_502"
    fill(db, osrm, devices=1)
    fill(db, osrm, devices=1, prefix="truck")
    for runs in (1, 2):
        row = work_off(db)
        assert row["osrm_error"].startswith("HTTP 502") and "; group trucks: HTTP 502" in row["osrm_error"]
        assert [len(server.requests) for server in (cars, trucks)] == [runs, runs]
    assert len(alerts(db, "osrm_away")) == 1


def test_a_long_backlog_of_a_group_that_is_away_keeps_nobody_waiting(db, osrm, cars, trucks):
    """Their points are the older ones, and more than many rounds take."""
    trucks.fault = "error_502"
    for number in range(40):
        insert(db, f"truck-{number}", drive(osrm, recent_window(180), 900, seed=1))
    fill(db, osrm, devices=2)
    db.rows("CALL process_pending(60, 5)")
    assert db.rows(WAITING) == [("tru",)]
    assert len(trucks.requests) == 1
    trucks.fault = "forward"
    let_the_time_pass(db)
    db.rows("CALL process_pending(60, 50)")
    assert waiting(db) == 0
    assert leftovers(db) == {}


@pytest.mark.parametrize("fault", ["forward", "error_502"])
def test_a_group_that_is_back_is_asked_about_though_others_come_first(db, osrm, cars, trucks, fault):
    trucks.fault = "error_502"
    fill(db, osrm, devices=1, prefix="truck")
    work_off(db)
    trucks.fault, cars.fault = "forward", fault
    for number in range(10):
        insert(db, f"car-{number}", drive(osrm, recent_window(180), 900, seed=1))
    db.rows("CALL process_pending(60, 5)")
    assert db.rows(WAITING) == ([] if fault == "forward" else [("car",)])
    assert db.value("SELECT osrm_error FROM worker_runs ORDER BY id DESC LIMIT 1") is None
    assert db.rows("SELECT DISTINCT status FROM processing_batches WHERE device_id LIKE 'truck%'") == [("completed",)]


def test_windows_that_are_due_of_a_group_that_is_away_keep_nobody_waiting(db, osrm, cars, trucks):
    fill(db, osrm, devices=1)
    work_off(db)
    before = paths(db)
    trucks.fault = "error_502"
    db.rows("""INSERT INTO processing_batches (device_id, start_time, end_time)
               SELECT 'truck-' || n, at, at + interval '5 min'
                 FROM generate_series(1, 700) n, date_bin('5 min', now() - interval '3 h', 'epoch') at""")
    db.rows("UPDATE cached_polylines SET encoded_polyline = ''")
    db.rows("UPDATE processing_batches SET status = 'pending', next_attempt_at = now() WHERE device_id = 'car-0'")
    asked = len(trucks.requests)
    db.rows("CALL process_pending(60, 2)")
    assert paths(db) == before
    assert len(trucks.requests) == asked + 1, "a run asks once, however many rounds it has"
    assert db.rows("SELECT status, count(*), max(retry_count) FROM processing_batches WHERE device_id LIKE 'truck%' GROUP BY 1") == [
        ("pending", 700, 0)]


def test_a_job_over_devices_that_are_away_does_not_put_all_on_record_and_stops_no_other(db, osrm, cars, trucks):
    fill(db, osrm, devices=1)
    fill(db, osrm, devices=1, prefix="truck")
    work_off(db)
    before = paths(db)
    db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at, processed)
               SELECT 'truck-old', 24.94, 60.17, now() - n * interval '5 min', true FROM generate_series(1, 5000) n""")
    trucks.fault = "error_502"
    db.rows("UPDATE cached_polylines SET encoded_polyline = '' WHERE device_id = 'car-0'")
    db.rows("""SELECT start_rematch(now() - interval '20 days', now(), '{truck-0,truck-old}'),
                      start_rematch(now() - interval '1 day', now(), '{car-0}')""")
    db.rows("CALL process_pending(60, 400)")
    assert paths(db) == before
    assert 1500 < db.value("SELECT count(*) FROM processing_batches WHERE status = 'pending'") < 2500


def test_one_that_wants_to_be_left_alone_is_and_the_others_are_not(db, osrm, cars, trucks):
    for spoiled, other, prefix in ((trucks, cars, "car"), (cars, trucks, "truck")):
        spoiled.fault, spoiled.retry_after = "error_429", 600
        other.fault = "forward"
        let_the_time_pass(db)
        before = len(spoiled.requests)
        for turn in ("a", "b"):
            fill(db, osrm, devices=1, prefix=f"car-{prefix}{turn}")
            fill(db, osrm, devices=1, prefix=f"truck-{prefix}{turn}")
            work_off(db)
            assert db.rows(f"SELECT FROM gps_coordinates WHERE NOT processed AND device_id LIKE '{prefix}-{prefix}%'") == []
        assert len(spoiled.requests) == before + 1
        assert db.rows("SELECT problem FROM get_osrm_servers() WHERE NOT in_use") == [(TURNED_AWAY,)]


def test_a_groups_only_server_is_killed_in_the_middle_of_a_backlog(db, osrm):
    with ExitStack() as stack:
        server = stack.enter_context(Osrm(name="osrm-trucks"))
        make_group(db, "trucks", server.url, pattern="^truck-")
        fill(db, osrm, devices=30)
        fill(db, osrm, devices=30, prefix="truck")
        while_it_is_worked_off(db, server.kill)
        assert db.rows(WAITING) in ([("tru",)], [])
        tried = "SELECT DISTINCT status, retry_count FROM processing_batches WHERE device_id LIKE 'car%'"
        assert db.rows(tried) == [("completed", 0)]
        assert db.value("SELECT coalesce(max(retry_count), 0) FROM processing_batches") == 0
        server.start()
        let_the_time_pass(db)
        work_off(db)
        assert_all_done_at_once(db)


def test_servers_that_hang_in_two_groups_hold_up_no_cancel(db, osrm):
    with hanging(osrm) as cars, hanging(osrm) as trucks:
        db.set("osrm_matcher.osrm_url", cars.url)
        db.set("osrm_matcher.request_timeout", "60s")
        make_group(db, "trucks", trucks.url, pattern="^truck-")
        for prefix in ("car", "truck"):
            fill(db, osrm, devices=2, seconds=300, prefix=prefix)
        session = Session(db)
        cars.wait_for_matches(2)
        trucks.wait_for_matches(2)
        begin = time.monotonic()
        db.rows("SELECT pg_cancel_backend(%s)", [session.pid])
        assert session.wait().pgcode == "57014"
        assert session.ended - begin < SOON
        assert_nothing_left_in(db, session, cars)
        assert trucks.open_connections == 0


def scans_of_a_run(db):
    """Scans of the tables of groups by one run, by table."""
    with closing(db.connect(autocommit=False)) as session, session.cursor() as cursor:
        cursor.execute("SELECT process_pending_gps()")
        cursor.execute("SELECT relname, seq_scan + coalesce(idx_scan, 0) FROM pg_stat_xact_user_tables "
                       "WHERE relname LIKE 'osrm_group%'")
        found = dict(cursor.fetchall())
        session.commit()
    return found


def test_without_groups_no_device_is_looked_up(db, osrm):
    counts = []
    for devices in (1, 12):
        fill(db, osrm, devices=devices, seconds=300, prefix=f"car{devices}")
        counts.append(scans_of_a_run(db))
    assert counts[0] == counts[1]
    assert counts[0]["osrm_group_devices"] == 0
    assert counts[0]["osrm_groups"] <= 1
