"""`make storm`: storms of fresh seeds for ten minutes or SECONDS, or the one of SEED, until one fails."""

import argparse
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.process import exit_on_signals  # noqa: E402
from storm.operations import OPERATIONS  # noqa: E402
from storm.plan import STEPS, draw, switched_on  # noqa: E402
from storm.servers import servers, show  # noqa: E402
from storm.shrink import shrink  # noqa: E402
from storm.trial import trial  # noqa: E402

TRIES = 3


def say(line):
    print(line, flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="begin no further storm after so many")
    parser.add_argument("--seed", type=int, help="this storm alone")
    parser.add_argument("--steps", type=int, default=STEPS, help="of a storm")
    parser.add_argument("--with", dest="more", nargs="*", default=[], choices=OPERATIONS,
                        help="operations to switch on though their defect is known")
    parser.add_argument("--only", nargs="*", choices=OPERATIONS, help="leave these operations")
    parser.add_argument("--shrink", action="store_true", help="look for the fewest steps that fail")
    return parser.parse_args()


def seeds(options):
    """The seed that was asked for, or fresh ones while there is time."""
    end = time.monotonic() + options.seconds
    if options.seed is not None:
        yield options.seed
        return
    while time.monotonic() < end:
        yield random.SystemRandom().randrange(1_000_000)


def show_fewest(plan, attempt):
    """The fewest steps that fail at times: what workers do at the same time is chance, whatever the seed."""
    def fails(steps):
        return any(attempt(plan, steps) for _ in range(TRIES))

    kept = shrink(range(len(plan.steps)), fails)
    say(f"seed {plan.seed} with the steps that are needed: {kept}")
    wrong = None
    for _ in range(2 * TRIES):
        wrong = wrong or attempt(plan, kept)
    for number in kept:
        say(f"{number:6} {plan.steps[number]}")
    show(wrong)


def main():
    exit_on_signals()
    options = arguments()
    names = switched_on(options.more)
    if options.only:
        names &= set(options.only)
    for name in OPERATIONS.keys() - names:
        say(f"left out: {name}: {OPERATIONS[name].defect or 'as was asked'}")
    passed = 0
    with servers("storm") as place:
        def attempt(plan, steps=None, tell=lambda line: None):
            return trial(*place, plan, steps, tell)

        for seed in seeds(options):
            plan = draw(seed, names, options.steps)
            say(f"seed {seed}: {len(plan.steps)} steps, {plan.settings}")
            wrong = attempt(plan, tell=say)
            show(wrong)
            if wrong and options.shrink:
                show_fewest(plan, attempt)
            if wrong:
                say(f"storm failed: seed {seed}; make storm SEED={seed} does it again")
                return 1
            passed += 1
    say(f"storm passed: {passed} seeds, each as from scratch")
    return 0


if __name__ == "__main__":
    sys.exit(main())
