"""OSRM at https behind a haproxy whose certificate an authority of one's own has signed."""

import tempfile
from pathlib import Path

import pytest

from backlog import assert_all_done_at_once, fill, work_off
from drives import waiting
from harness.authority import Authority
from harness.haproxy import haproxy
from optional import need_program


@pytest.fixture
def folder():
    """One that the server of the database may read."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def authority(folder):
    need_program("haproxy", "usr/sbin")
    return Authority(folder)


@pytest.fixture
def secure(db, osrm, authority, folder):
    with haproxy(folder, osrm, osrm, authority=authority) as url:
        db.set("osrm_matcher.osrm_url", url)
        fill(db, osrm, devices=2)
        yield url


def assert_nothing_is_asked(db, *words):
    """What a run, and a look at the servers, say of the certificate; no point is spent by it."""
    before = waiting(db)
    row = work_off(db)
    problem = db.value("SELECT problem FROM osrm_health()")
    assert (row["windows_completed"], row["windows_failed"], row["osrm_calls"]) == (0, 0, 0)
    assert waiting(db) == before > 0
    for word in words:
        assert word in row["osrm_error"] and word in problem, (row["osrm_error"], problem)


def assert_it_goes_on(db):
    assert work_off(db)["osrm_error"] is None
    assert_all_done_at_once(db)


def test_its_certificates_are_believed_where_a_file_names_it(db, secure, authority):
    assert_nothing_is_asked(db, "invalid peer certificate", "osrm_matcher.ca_file")
    db.set("osrm_matcher.ca_file", str(authority.file))
    assert db.value("SELECT reachable FROM osrm_health()")
    assert_it_goes_on(db)


def test_the_file_is_read_anew_with_each_run(db, secure, authority, folder):
    """Whoever renews an authority writes the new one into the same file."""
    file = folder / "believed.pem"
    file.write_bytes(Authority(folder, "Another").file.read_bytes())
    db.set("osrm_matcher.ca_file", str(file))
    assert_nothing_is_asked(db, "invalid peer certificate")
    file.write_bytes(file.read_bytes() + authority.file.read_bytes())
    assert_it_goes_on(db)


@pytest.mark.parametrize("file, says", [
    ("/nowhere/fleet.pem", 'osrm_matcher.ca_file, "/nowhere/fleet.pem": no such file'),
    ("/tmp", "it is not a file"),
    ("/etc/hostname", "it holds no certificate in PEM"),
])
def test_a_file_that_names_no_authority_is_told_and_costs_no_point(db, secure, authority, file, says):
    db.set("osrm_matcher.ca_file", file)
    assert_nothing_is_asked(db, says)
    db.set("osrm_matcher.ca_file", str(authority.file))
    assert_it_goes_on(db)


def test_a_file_that_cannot_be_read_is_nothing_to_a_server_without_a_certificate(db, osrm, secure):
    db.set("osrm_matcher.ca_file", "/nowhere/fleet.pem")
    db.set("osrm_matcher.osrm_url", f"{osrm.url} {secure}")
    assert db.rows("SELECT reachable FROM osrm_health()") == [(True,), (False,)]
    assert_it_goes_on(db)
