"""The table that the project keeps, expected.tsv: how good the line was when it was last accepted.

`make quality` compares what it finds with this table, says which figures got worse or better, and ends
with an exit code other than 0 where one got worse. After a change that is worth it, `make quality ACCEPT=1`
renews the table: its difference is part of the change.

Worse is what grew by more than half of the last digit that the report prints: so much a reader sees. It can
be so little because chance has no part: the drives come of fixed seeds and of OSRM's own routes, and what the
extension stores is a pure function of its points. Two runs gave the same figures to the sixth decimal, one
of them with the mathematics of an older processor (glibc without AVX and FMA, numpy without AVX).

The defaults' figures say whether the comparison is fair: the extension has no part in them, so where they
differ, the map, the engine or the drives are not those of the table, and ours proves nothing.
"""

from pathlib import Path
from typing import NamedTuple

PATH = Path(__file__).with_name("expected.tsv")
HEADS = ("kind", "what", "ours", "defaults")
TOLERANCE = {"cell": 0.05, "mean": 0.005, "distance": 0.05, "speed": 0.5}  # points, half of the last printed digit
NONE = "-"


class Figure(NamedTuple):
    """In per cent of the truth: route mismatch, or the signed error of a distance or a speed. Beside it that of
    OSRM's defaults, or of the sum of the steps between points."""

    kind: str
    ours: float
    defaults: float | None = None

    @property
    def tolerance(self):
        return TOLERANCE[self.kind]


class Comparison(NamedTuple):
    """Sentences about what is not as the table says."""

    unfair: list
    worse: list
    better: list

    @property
    def passed(self):
        return not self.unfair and not self.worse


def compare(kept, found):
    """Both are figures by name."""
    unfair = [f"{name}: only in {'the table' if name in kept else 'this run'}" for name in kept.keys() ^ found.keys()]
    worse, better = [], []
    for name in kept.keys() & found.keys():
        old, new = kept[name], found[name]
        if _differ(old.defaults, new.defaults, old.tolerance):
            unfair.append(f"{name}: OSRM's defaults {_number(old.defaults, 3)} -> {_number(new.defaults, 3)}")
        if _differ(old.ours, new.ours, old.tolerance):
            changed = worse if abs(new.ours) > abs(old.ours) else better
            changed.append(f"{name}: {_number(old.ours, 3)} -> {_number(new.ours, 3)}")
    return Comparison(sorted(unfair), sorted(worse), sorted(better))


def report(comparison):
    """The comparison as a person reads it."""
    for sentence in comparison.unfair:
        yield f"not comparable: {sentence}"
    for sentence in comparison.worse:
        yield f"worse: {sentence}"
    for sentence in comparison.better:
        yield f"better: {sentence}"
    yield (
        f"Against {PATH.name}: {len(comparison.worse)} figures worse, {len(comparison.better)} better,"
        f" {len(comparison.unfair)} not comparable."
    )
    if comparison.unfair:
        yield "The map, OSRM or the drives are not those of the table: compare two states of the code with the same."
    if comparison.worse:
        yield "If the change is worth it, renew the table: make quality ACCEPT=1"


def read(path=PATH):
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    rows = [line.split("\t") for line in lines]
    if not rows or tuple(rows[0]) != HEADS:
        raise ValueError(f"{path} does not begin with the columns {', '.join(HEADS)}")
    return {
        what: Figure(kind, float(ours), None if defaults == NONE else float(defaults))
        for kind, what, ours, defaults in rows[1:]
    }


def write(figures, path=PATH):
    rows = [HEADS]
    rows += [(f.kind, name, _number(f.ours), _number(f.defaults)) for name, f in figures.items()]
    lines = ["# Per cent of the true length or speed. Renewed by `make quality ACCEPT=1`; see expected.py."]
    path.write_text("\n".join([*lines, *("\t".join(row) for row in rows)]) + "\n")


def signed(value, decimals=0):
    """As the tables print an error."""
    return f"{round(value, decimals) + 0.0:+.{decimals}f}"  # no zero with a minus


def _differ(old, new, tolerance):
    if old is None or new is None:
        return old is not new
    return abs(new - old) > tolerance


def _number(value, decimals=6):
    # Enough of them in the file that what is printed of it is rounded as if from the run itself.
    return NONE if value is None else f"{value:.{decimals}f}"
