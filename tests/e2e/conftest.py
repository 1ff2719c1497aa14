"""One cluster and one OSRM for the whole session, a fresh database with the extension for each test."""

import itertools
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.cluster import Cluster  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.memory import clusters_in_memory  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402
from storm.faults import Faults  # noqa: E402

from optional import need  # noqa: E402

TEMPLATE = "with_osrm_matcher"
_numbers = itertools.count(1)


def pytest_configure():
    # To pytest, a SystemExit is one more test that failed, and the next one begins.
    exit_on_signals(lambda code: pytest.exit(f"ended by signal {code - 128}", code))


@pytest.fixture(scope="session")
def in_memory():
    with clusters_in_memory():
        yield


@pytest.fixture(scope="session")
def new_cluster(in_memory):
    """Makes clusters, not yet started, whose databases ask the OSRM at `url`, and which go by a `clock`, if there is one."""

    def make(name, url, clock=None, **conf):
        name = f"{name}-{os.getpid()}-{next(_numbers)}"
        return Cluster(name, conf={"osrm_matcher.osrm_url": url, **conf}, clock=clock)

    return make


@pytest.fixture(scope="session")
def osrm():
    with Osrm(name=f"osrm-{os.getpid()}") as server:
        yield server


@pytest.fixture(scope="session")
def cluster(osrm, new_cluster):
    # Many databases come and go: without fsync they are safe against a crash of any process.
    with new_cluster("test", osrm.url, fsync="off") as cluster:
        cluster.create_database(TEMPLATE)
        template = Database(cluster, TEMPLATE)
        template.rows("CREATE EXTENSION osrm_matcher")
        template.disconnect()
        yield cluster


@pytest.fixture(scope="session")
def fresh_database(cluster):
    """Makes databases that go when their `with` block ends."""

    @contextmanager
    def make(template):
        name = f"test_{next(_numbers)}"
        cluster.create_database(name, template=template)
        database = Database(cluster, name)
        try:
            yield database
        finally:
            database.disconnect()
            cluster.drop_database(name)

    return make


@pytest.fixture(scope="session")
def database_with_extension(fresh_database):
    return lambda: fresh_database(TEMPLATE)


@pytest.fixture
def db(fresh_database):
    """A database of its own, with the extension in schema public."""
    with fresh_database(TEMPLATE) as database:
        yield database


@pytest.fixture
def empty_db(fresh_database):
    """A database without the extension."""
    with fresh_database("template1") as database:
        yield database


@pytest.fixture
def own_osrm(db):
    """An OSRM that only this test's database asks: it may be stopped, killed and started again."""
    number = next(_numbers)
    with Osrm(name=f"osrm-{os.getpid()}-{number}") as server:
        db.set("osrm_matcher.osrm_url", server.url)
        yield server


@pytest.fixture
def own_db(osrm, new_cluster):
    """A database in a cluster of its own that may be killed (own_db.cluster), with fsync on."""
    with new_cluster("own", osrm.url) as cluster:
        database = Database(cluster, "postgres")
        database.rows("CREATE EXTENSION osrm_matcher")
        yield database
        database.disconnect()


@pytest.fixture
def cron_db(own_db):
    """A database in a cluster of its own that has pg_cron, too."""
    need("pg_cron")
    own_db.rows("CREATE EXTENSION pg_cron")
    return own_db


@pytest.fixture(scope="session")
def stormy_osrm():
    """An OSRM that may be killed, behind a proxy that may fail."""
    with Osrm(name=f"osrm-storm-{os.getpid()}") as osrm, Faults(osrm) as faults:
        yield osrm, faults
