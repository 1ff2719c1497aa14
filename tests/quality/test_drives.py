"""The generator of drives: what it promises of motion and of noise."""

import numpy as np
import pytest

import polyline
import sensor
from motion import Ride

CORNER = np.array([[0.0, 0.0], [500.0, 0.0], [500.0, 500.0]])


@pytest.fixture
def ride():
    """A thousand metres at 15 m/s round a corner, with a halt of half a minute."""
    return Ride(CORNER, limits=[(0.0, 15.0)], halts=[(250.0, 30.0)])


def speeds(ride):
    places = ride.at(np.arange(0.0, ride.duration, 1.0))
    return np.hypot(*np.diff(places, axis=0).T)


def test_a_ride_begins_and_ends_at_the_ends_of_its_line(ride):
    assert ride.at([0.0, ride.duration]).tolist() == [[0.0, 0.0], [500.0, 500.0]]


def test_a_ride_keeps_to_the_limit_and_brakes_for_bends(ride):
    assert speeds(ride).max() == pytest.approx(15.0, abs=0.1)
    corner = np.hypot(*(ride.at(np.arange(0.0, ride.duration, 0.1)) - CORNER[1]).T).argmin()
    assert speeds(ride)[corner // 10] < 7.0


def test_the_greatest_speed_of_a_ride_is_the_one_that_it_drives(ride):
    assert ride.top_speed() == pytest.approx(speeds(ride).max(), abs=0.1)


def test_a_ride_stands_where_it_is_told_to(ride):
    standing = speeds(ride) < 0.01
    assert 28 <= standing.sum() <= 31
    assert ride.at(np.flatnonzero(standing))[:, 0] == pytest.approx(250.0, abs=1.0)


def test_fixes_without_noise_lie_on_the_line(ride):
    fixes = sensor.record(ride, 5, 0, False, np.random.default_rng(1))
    assert np.minimum(np.abs(fixes[:, 2]), np.abs(fixes[:, 1] - 500)).max() < 1e-9
    assert fixes[-1, 0] == np.ceil(ride.duration)


@pytest.mark.parametrize("correlated", [False, True])
def test_noise_has_the_strength_it_is_asked_for(correlated):
    standing = Ride(CORNER, limits=[(0.0, 15.0)], halts=[(250.0, 100_000.0)])
    fixes = sensor.record(standing, 1, 10, correlated, np.random.default_rng(1))
    error = fixes[1000:-1000, 1:] - [250.0, 0.0]
    assert error.std(axis=0) == pytest.approx(10.0, rel=0.1)
    likeness = np.corrcoef(error[:-30, 0], error[30:, 0])[0, 1]
    assert likeness == pytest.approx(np.exp(-1) if correlated else 0.0, abs=0.1)


def test_spoilt_fixes_stay_in_order_and_have_every_fault(ride):
    long = Ride(CORNER, limits=[(0.0, 15.0)], halts=[(250.0, 600.0)])
    fixes = sensor.spoil(sensor.record(long, 1, 0, False, np.random.default_rng(1)), 1, np.random.default_rng(1))
    pauses = np.diff(fixes[:, 0])
    assert pauses.min() == 0
    assert 20 <= pauses.max() <= 2 * 90
    assert np.hypot(*np.diff(fixes[:, 1:], axis=0).T).max() > 200


def test_polylines_are_read_as_their_inventor_says():
    assert polyline.decode("_p~iF~ps|U_ulLnnqC_mqNvxq`@") == [[-120.2, 38.5], [-120.95, 40.7], [-126.453, 43.252]]
