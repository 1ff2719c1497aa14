"""A storm before it happens: from a seed to points and steps. Pure, so that a seed always gives the same plan."""

import random
from typing import NamedTuple

from . import fleet
from .operations import LENGTHS, OPERATIONS


# Some make no sense at times; where nothing is left to be done, a plan is shorter than was asked.
MOST_DRAWS = 5
STEPS = 120


class Step(NamedTuple):
    name: str
    arguments: dict

    def __str__(self):
        return f"{self.name}({', '.join(f'{name}={_short(value)}' for name, value in self.arguments.items())})"


class Plan(NamedTuple):
    seed: int
    settings: dict
    points: list
    steps: list


class Draft:
    """What the operations know while a plan is drawn."""

    def __init__(self, chance, points):
        self.chance = chance
        self._devices = sorted({point.device for point in points})
        self.sent = []
        self.held = []
        self._sessions = 0
        self._drives = {}
        for number, point in enumerate(points):
            self._drives.setdefault((point.device, point.era), []).append(number)

    def unsent(self):
        """Points of some drive that have not come yet, by time."""
        left = [numbers for numbers in self._drives.values() if numbers]
        return list(self.chance.choice(left)) if left else []

    def send(self, numbers):
        """Notes that these points come now."""
        gone = set(numbers)
        for drive in self._drives.values():
            drive[:] = [number for number in drive if number not in gone]
        self.sent += sorted(gone)
        return numbers

    def late(self):
        """Some points of a drive, here and there; they come now."""
        unsent = self.unsent()
        return self.send(sorted(self.chance.sample(unsent, min(self.chance.choice([1, 2, 10]), len(unsent)))))

    def some_sent(self, most):
        """Points that have come, close to each other."""
        begin = self.chance.randrange(len(self.sent))
        return self.sent[begin:begin + self.chance.randint(1, most)]

    def device(self):
        return self.chance.choice(self._devices)

    def hold(self):
        """The name of a session that will hold something."""
        self._sessions += 1
        self.held.append(f"session-{self._sessions}")
        return self.held[-1]

    def let_go(self):
        return self.held.pop(self.chance.randrange(len(self.held)))


def switched_on(more=(), all_of_them=False):
    """The names of the operations that happen: those without a known defect, and more."""
    return {name for name, operation in OPERATIONS.items() if all_of_them or not operation.defect or name in more}


def draw(seed, names, length=STEPS, number=0):
    """The plan of a seed: so many steps of the operations named, with a fleet of its own."""
    chance = random.Random(seed)
    points = fleet.points(chance, number)
    settings = {
        "window": chance.choice(LENGTHS),
        "max_retries": chance.choice([1, 100]),
        "concurrency": chance.choice([1, 4]),
    }
    draft = Draft(chance, points)
    names = sorted(names)
    weights = [OPERATIONS[name].weight for name in names]
    steps = []
    for name in chance.choices(names, weights, k=MOST_DRAWS * length):
        arguments = OPERATIONS[name].draw(draft)
        if arguments is not None:
            steps.append(Step(name, arguments))
        if len(steps) == length:
            break
    return Plan(seed, settings, points, steps)


def _short(value):
    """A list of numbers as the ranges in it."""
    if not isinstance(value, list):
        return repr(value)
    ranges = []
    for number in value:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return "[" + ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges) + "]"
