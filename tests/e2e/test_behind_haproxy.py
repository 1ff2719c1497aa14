"""OSRM behind haproxy, as docs/scale-out.md sets it up: a server that dies, or hangs, costs no window anything."""

import signal
from contextlib import ExitStack

import pytest

from backlog import assert_all_done_at_once, fill, while_it_is_worked_off, work_off
from harness import haproxy
from harness.osrm import Osrm

from optional import need_program


@pytest.fixture
def behind(db, tmp_path):
    """Two servers behind haproxy, which alone is set."""
    need_program("haproxy", "usr/sbin")
    with ExitStack() as stack:
        servers = [stack.enter_context(Osrm(name=f"osrm-behind-{name}")) for name in ("a", "b")]
        db.set("osrm_matcher.osrm_url", stack.enter_context(haproxy.haproxy(tmp_path, *servers)))
        yield servers


def test_one_is_killed_in_the_middle_of_a_backlog(db, osrm, behind):
    fill(db, osrm, devices=60)
    while_it_is_worked_off(db, behind[0].kill)
    assert_all_done_at_once(db)
    assert db.value("SELECT count(*) FROM worker_runs WHERE osrm_error IS NOT NULL") == 0


def test_one_hangs_in_the_middle_of_a_backlog(db, osrm, behind):
    fill(db, osrm, devices=60)
    while_it_is_worked_off(db, lambda: behind[0].process.send(signal.SIGSTOP))
    behind[0].kill()
    assert_all_done_at_once(db)


def test_where_both_are_away_nothing_is_spent_and_it_goes_on_once_one_is_back(db, osrm, behind):
    for server in behind:
        server.kill()
    fill(db, osrm)
    row = work_off(db)
    assert (row["windows_completed"], row["windows_failed"]) == (0, 0)
    assert row["osrm_error"].startswith("HTTP 503")
    behind[1].start()
    db.wait_until("SELECT reachable FROM osrm_health()", timeout=20)
    work_off(db)
    assert_all_done_at_once(db)
