"""The short form of `make soak`."""

from conftest import TEMPLATE
from soak.load import Soak

SECONDS = 20


def test_everything_at_once_ends_as_with_one_quiet_worker(cluster, stormy_osrm):
    soak = Soak(cluster, TEMPLATE, *stormy_osrm, SECONDS)
    assert soak.run() == []
    kinds = ("steps", "runs", "points", "reads", "backfills", "vacuums", "dumps")
    assert min(soak.counts.get(kind, 0) for kind in kinds) > 0
    assert soak.slowest["reads"] < 2, "a reader waited"
