"""The metric against lines whose mismatch is plain to see."""

import math

import pytest

from mismatch import Truth

DEGREE = 111_320


def line(*metres):
    """A lon/lat line from metres east and north of a place."""
    shrink = math.cos(math.radians(60))
    return [(x / DEGREE / shrink, 60 + y / DEGREE) for x, y in metres]


ROAD = line((0, 0), (1000, 0))
BOTH_WAYS = line((0, 0), (1000, 0), (0, 0))
FINE = line(*[(x, 0) for x in range(0, 1000, 7)], (1000, 0))


@pytest.mark.parametrize(
    "what, truth, output, missing, excess",
    [
        ("itself", [ROAD], [ROAD], 0, 0),
        ("nothing", [ROAD], [], 1, 0),
        ("a line of one point", [ROAD], [line((5, 0))], 1, 0),
        ("more vertices", [ROAD], [FINE], 0, 0),
        ("the other direction", [ROAD], [ROAD[::-1]], 0, 0),
        ("too short", [ROAD], [line((0, 0), (900, 0))], 0.1, 0),
        ("too long", [ROAD], [line((0, 0), (1100, 0))], 0, 0.1),
        ("a hole", [ROAD], [line((0, 0), (400, 0)), line((500, 0), (1000, 0))], 0.1, 0),
        ("a seam", [ROAD], [line((0, 0), (400, 0)), line((400, 0), (1000, 0))], 0, 0),
        ("an overlap", [ROAD], [line((0, 0), (600, 0)), line((500, 0), (1000, 0))], 0, 0.1),
        ("a spike", [ROAD], [line((0, 0), (500, 0), (500, 100), (500, 0), (1000, 0))], 0, 0.2),
        ("a spike along the road", [ROAD], [line((0, 0), (600, 0), (500, 0), (1000, 0))], 0, 0.2),
        ("a parallel road", [ROAD], [line((0, 20), (1000, 20))], 1, 1),
        ("a metre beside", [ROAD], [line((0, 1), (1000, 1))], 0, 0),
        ("the way back left out", [BOTH_WAYS], [ROAD], 0.5, 0),
        ("the way back invented", [ROAD], [BOTH_WAYS], 0, 1),
        ("the way back as driven", [BOTH_WAYS], [BOTH_WAYS], 0, 0),
        ("the way back as a second line", [BOTH_WAYS], [ROAD, ROAD[::-1]], 0, 0),
    ],
)
def test_mismatch(what, truth, output, missing, excess):
    assert Truth(truth).mismatch(output) == pytest.approx((missing, excess), abs=0.012), what


def test_a_winding_line_has_no_mismatch_with_itself():
    winding = line(*[(500 * math.sin(i / 99), 500 * math.cos(i / 77)) for i in range(3000)])
    assert Truth([winding]).mismatch([winding]) == (0, 0)


def test_a_truth_serves_several_outputs():
    truth = Truth([ROAD])
    assert truth.mismatch([BOTH_WAYS]).total == pytest.approx(1, abs=0.012)
    assert truth.mismatch([ROAD]).total == 0


@pytest.mark.parametrize("fixes, misled", [(line((100, 18), (900, 18)), 2), (line((100, 4), (900, 4)), 0)])
def test_a_mismatch_where_the_fixes_are_is_theirs(fixes, misled):
    truth, beside = Truth([ROAD]), [line((0, 20), (1000, 20))]
    mismatch, found = truth.mismatch_and_misled(beside, fixes)
    assert mismatch.total == pytest.approx(2, abs=0.012)
    assert found == pytest.approx(misled, abs=0.012)


def test_what_is_missing_beside_fixes_is_not_theirs():
    fixes = line((0, 0), (300, 0), (900, 0))
    assert Truth([ROAD]).mismatch_and_misled([line((0, 0), (500, 0))], fixes)[1] == 0
    assert Truth([ROAD]).mismatch_and_misled([], fixes)[1] == 0
