"""Points that are much worse than the rest of a drive, and do not say so: the line is that of the drive all the same."""

import random

import pytest

from drives import drive, insert, process_all, recent_window
from harness.route import moved

SECONDS = 1800


def noisy(fixes, metres, is_noisy):
    """The fixes with white noise where `is_noisy` says so of their seconds since the start of the drive, and of chance."""
    chance = random.Random(2)
    start = fixes[0][2]

    def told(lon, lat, at):
        if not is_noisy((at - start).total_seconds(), chance):
            return lon, lat, at
        return *moved((lon, lat), chance.gauss(0, metres), chance.gauss(0, metres)), at

    return [told(*fix) for fix in fixes]


def between_high_houses(fixes):
    return noisy(fixes, 40, lambda second, _: second % 120 < 20)


def reflected(fixes):
    return noisy(fixes, 60, lambda _, chance: chance.random() < 1 / 30)


@pytest.mark.parametrize("disturb", [between_high_houses, reflected])
def test_the_line_is_that_of_the_drive(db, osrm, disturb):
    fixes = drive(osrm, recent_window(90), SECONDS)
    insert(db, "as driven", fixes)
    insert(db, "as told", disturb(fixes))
    process_all(db)
    lines = dict(db.rows("SELECT device_id, sum(length_m) FROM cached_polylines GROUP BY device_id"))
    assert lines["as told"] == pytest.approx(lines["as driven"], rel=0.02)
    assert db.rows("SELECT DISTINCT match_status FROM cached_polylines") == [("matched",)]
