"""The short form of `make soak`."""

import pytest

from harness.database import Database
from soak.load import Soak

SECONDS = 20


@pytest.fixture
def quiet(cluster):
    """A second database, for one quiet worker."""
    cluster.create_database("quiet", template="with_osrm_matcher")
    database = Database(cluster, "quiet")
    yield database
    database.disconnect()
    cluster.drop_database("quiet")


def test_everything_at_once_ends_as_with_one_quiet_worker(db, quiet, osrm):
    soak = Soak(db, quiet, osrm, SECONDS)
    assert soak.run() == []
    assert min(soak.counts.get(kind, 0) for kind in ("runs", "points", "reads", "backfills", "vacuums", "dumps")) > 0
    assert soak.slowest["reads"] < 2, "a reader waited"
