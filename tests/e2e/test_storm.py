"""The short form of `make storm`: a few seeds that are the same each time; fresh ones are `make storm`'s."""

import pytest

from conftest import TEMPLATE
from storm.plan import draw, switched_on
from storm.trial import trial

SEEDS = [1, 2, 3]


@pytest.mark.parametrize("seed", SEEDS)
def test_after_a_storm_all_is_as_from_scratch(cluster, stormy_osrm, seed):
    log = []
    wrong = trial(cluster, TEMPLATE, *stormy_osrm, draw(seed, switched_on()), tell=log.append)
    assert wrong == [], "\n".join([f"make storm SEED={seed} does it again", *log])
