"""Plans come from their seeds alone; every operation can be drawn and done; few steps are found that fail."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from storm.operations import OPERATIONS  # noqa: E402
from storm.plan import draw, switched_on  # noqa: E402
from storm.shrink import shrink  # noqa: E402
from storm.steps import Storm  # noqa: E402

ALL = set(OPERATIONS)


def test_a_seed_always_gives_the_same_plan():
    assert draw(7, ALL, 200) == draw(7, ALL, 200)
    assert draw(7, ALL, 200).steps != draw(8, ALL, 200).steps


def test_every_operation_can_be_done_and_comes_up():
    assert [name for name in OPERATIONS if not callable(getattr(Storm, name, None))] == []
    drawn = {step.name for seed in range(5) for step in draw(seed, ALL, 500).steps}
    assert drawn == ALL


def test_an_operation_with_a_known_defect_is_left_out_until_it_is_asked_for():
    defective = {name for name, operation in OPERATIONS.items() if operation.defect}
    assert switched_on() == ALL - defective
    assert switched_on(defective) == ALL


def test_a_step_prints_in_one_line_with_ranges_of_points():
    step = next(step for step in draw(1, {"arrive"}, 200).steps if step.arguments["manner"] == "next")
    assert str(step).startswith("arrive(manner='next', numbers=[") and "\n" not in str(step)


def test_the_fewest_steps_that_fail_are_found():
    tried = []

    def fails(steps):
        tried.append(steps)
        return {3, 17, 18} <= set(steps)

    assert shrink(range(100), fails) == [3, 17, 18]
    assert len(tried) < 200
