"""The figures as Markdown."""

from collections import defaultdict
from statistics import mean
from typing import NamedTuple

from drives import INTERVALS
from expected import Figure
from mismatch import Mismatch

NOISY_TARGET = 0.25  # of the defaults' mismatch, in cells with noise


class Result(NamedTuple):
    """One drive, measured: with all lines that the extension draws, with matched ones only, and
    with OSRM's defaults on the whole trip."""

    drive: object
    ours: Mismatch
    matched: Mismatch
    defaults: Mismatch


class Cost(NamedTuple):
    """What a set of raw points cost OSRM, in seconds of CPU time."""

    points: int
    ours: float
    defaults: float


class CellFigures(NamedTuple):
    """Means over the drives of a cell, in per cent of the true length."""

    ours: float
    missing: float
    excess: float
    matched: float
    defaults: float

    @property
    def ratio(self):
        return self.ours / self.defaults


def figures(results):
    """By cell."""
    by_cell = defaultdict(list)
    for result in results:
        by_cell[result.drive.cell].append(result)

    def percent(values):
        return 100 * mean(values)

    return {
        cell: CellFigures(
            percent(r.ours.total for r in group),
            percent(r.ours.missing for r in group),
            percent(r.ours.excess for r in group),
            percent(r.matched.total for r in group),
            percent(r.defaults.total for r in group),
        )
        for cell, group in by_cell.items()
    }


def summary(by_cell):
    """`ours / defaults` in per cent."""
    return matrix("drives", by_cell, lambda found: f"**{found.ours:.1f}** / {found.defaults:.1f}")


def matrix(head, by_cell, text):
    """A row for each kind of noise, a column for each interval."""
    rows = {}
    for cell, found in by_cell.items():
        rows.setdefault((_drives(cell), _noise(cell)), {})[cell.interval] = text(found)
    heads = [head, "noise", *(f"{interval} s" for interval in INTERVALS)]
    return table([heads, *([*kind, *(row[interval] for interval in INTERVALS)] for kind, row in rows.items())])


def details(by_cell):
    """Every cell with all its figures."""
    rows = [["drives", "interval", "noise", "ours", "missing", "excess", "matched lines only", "defaults", "ratio"]]
    for cell, f in by_cell.items():
        rows.append([
            _drives(cell), f"{cell.interval} s", _noise(cell),
            *(f"{value:.2f}" for value in (f.ours, f.missing, f.excess, f.matched, f.defaults, f.ratio)),
        ])
    return table(rows)


def shortfalls(by_cell):
    """Sentences about the cells that miss a target; none if all reach them."""
    for cell, f in by_cell.items():
        if f.ours > f.defaults:
            yield f"{cell.name}: {f.ours:.2f} % is above the defaults' {f.defaults:.2f} %"
        elif cell.noise and f.ratio > NOISY_TARGET:
            yield f"{cell.name}: {f.ours:.2f} % is above a quarter of the defaults' {f.defaults:.2f} %"


def window_means(fleet, by_window):
    """Mean mismatch of each kind of drives, for each length of window."""
    kinds = {"clean drives": (False,), "rough drives": (True,), "all": (False, True)}
    return {
        window: {
            name: 100 * mean(m.total for drive, m in zip(fleet, found) if drive.cell.rough in kind)
            for name, kind in kinds.items()
        }
        for window, found in by_window.items()
    }


def window_table(means):
    """A row for each length of window."""
    rows = [["window", *next(iter(means.values()))]]
    rows += [[window, *(f"{value:.2f}" for value in by_kind.values())] for window, by_kind in means.items()]
    return table(rows)


def named(by_cell, means):
    """The figures of the summary and of the table of windows, as expected.py keeps them."""
    found = {name_of(cell): Figure("cell", f.ours, f.defaults) for cell, f in by_cell.items()}
    for window, by_kind in means.items():
        found |= {f"{kind}, windows of {window}": Figure("mean", value) for kind, value in by_kind.items()}
    return found


def cost_table(by_interval):
    """Costs for each interval, and for all together."""
    rows = [["interval", "raw points", "ours, ms per 1,000", "defaults, ms per 1,000", "ratio"]]
    named = {f"{interval} s": cost for interval, cost in by_interval.items()}
    named["all"] = Cost(*map(sum, zip(*by_interval.values())))
    for name, cost in named.items():
        ours, theirs = (1e6 * seconds / cost.points for seconds in (cost.ours, cost.defaults))
        rows.append([name, f"{cost.points:,}", f"{ours:.0f}", f"{theirs:.0f}", f"{ours / theirs:.2f}"])
    return table(rows)


def table(rows):
    """Markdown of rows of text, the first being the heads."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(text.ljust(width) for text, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def name_of(cell):
    """What the tables call it."""
    return f"{_drives(cell)}, {_noise(cell)}, {cell.interval} s"


def _drives(cell):
    return "rough" if cell.rough else "clean"


def _noise(cell):
    if not cell.noise:
        return "none"
    return f"{cell.noise} m {'correlated' if cell.correlated else 'white'}"
