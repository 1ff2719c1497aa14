"""Compares what a storm left with runs from scratch. Pure: what is compared is rows.

A window that nothing touched after the length of windows was changed keeps the length that it had, so each
window on record is compared with a run from scratch of its own length. All else must be equal to the bit, but for rows
of stops that upkeep has joined: they must hold what a run from scratch has there, and begin and end as that does.
"""

from bisect import bisect_right
from collections import defaultdict
from datetime import timedelta

from harness.outcome import COLUMNS


# Between two rows of one stop there may be a silence, in which a row may have been cut.
SILENCE = timedelta(minutes=75)


def compare(stormy, scratch, joined=()):
    """What is wrong, in words. `stormy` is what `decided` says of the storm's database; `scratch` the same of
    runs from scratch, by length of window; `joined` are rows of stops that upkeep made of several."""
    wrong = _overlaps(stormy["batches"])
    stormy = {**stormy, "stops": [row for row in stormy["stops"] if row[:3] not in set(joined)]}
    for length, decided in scratch.items():
        inside = _inside(decided["stops"], joined)
        # What is left of one that was cut may be less than windows hold that there are none of there.
        wrong += [f"a joined stop is not that of windows of {length}: {row}" for row, rows in inside.items()
                  if length in _lengths(stormy["batches"], row) and (
                      not rows or min(r[1] for r in rows) - row[1] > SILENCE
                      or row[2] - max(r[2] for r in rows) > SILENCE)]
        apart = set(decided["stops"]).difference(*inside.values())
        scratch = {**scratch, length: {**decided, "stops": sorted(apart)}}
    windows = {(device, start): end for device, start, end, *_ in stormy["batches"]}
    for part in ("paths", "stops"):
        wrong += [f"one of the {part} lies in no window: {show(part, row)}" for row in _outside(stormy[part], windows)]
    for part in ("batches", "paths", "stops"):
        left = _by_window(stormy[part], windows)
        right = {length: _by_window(decided[part], _ends(decided["batches"])) for length, decided in scratch.items()}
        for (device, start), end in sorted(windows.items()):
            if end - start not in right:
                wrong.append(f"a window of no length that was set: {device} {start} to {end}")
                continue
            expected = right[end - start].get((device, start), [])
            got = left.get((device, start), [])
            if part == "batches" and not expected and _is_empty(got[0]):
                continue  # from scratch, nobody would have looked at a window without points
            wrong += _differences(part, got, expected)
    return wrong


def show(part, row):
    """A row with the names of its columns."""
    return ", ".join(f"{name} {_brief(value)}" for name, value in zip(COLUMNS[part], row))


def _ends(batches):
    return {(device, start): end for device, start, end, *_ in batches}


def _lengths(batches, stop):
    """How long the windows are that a stop touches."""
    device, begin, end = stop[:3]
    return {batch[2] - batch[1] for batch in batches if batch[0] == device and batch[1] <= end and batch[2] > begin}


def _overlaps(batches):
    rows = sorted(batches, key=lambda row: row[:2])
    return [f"two windows overlap: {one[0]} {one[1]} to {one[2]} and {two[1]} to {two[2]}"
            for one, two in zip(rows, rows[1:]) if one[0] == two[0] and one[2] > two[1]]


def _by_window(rows, windows):
    """Rows by the (device, start) of the window that they begin in."""
    starts = defaultdict(list)
    for device, start in sorted(windows):
        starts[device].append(start)
    found = defaultdict(list)
    for row in rows:
        device, begin = row[:2]
        at = bisect_right(starts[device], begin) - 1
        if at >= 0 and begin < windows[device, starts[device][at]]:
            found[device, starts[device][at]].append(row)
    return found


def _outside(rows, windows):
    inside = {row for rows in _by_window(rows, windows).values() for row in rows}
    return [row for row in rows if row not in inside]


def _inside(stops, joined):
    """The rows of stops that lie in each joined one."""
    found = {row: [] for row in joined}
    for stop in stops:
        for row in joined:
            if row[0] == stop[0] and row[1] <= stop[1] and stop[2] <= row[2]:
                found[row].append(stop)
    return found


def _is_empty(batch):
    named = dict(zip(COLUMNS["batches"], batch))
    return named["status"] == "completed" and named["coordinate_count"] == 0


def _differences(part, got, expected):
    got, expected = {row[1]: row for row in got}, {row[1]: row for row in expected}
    wrong = []
    for start in sorted(got.keys() | expected.keys()):
        one, other = got.get(start), expected.get(start)
        if other is None:
            wrong.append(f"one of the {part} too many: {show(part, one)}")
        elif one is None:
            wrong.append(f"one of the {part} is missing: {show(part, other)}")
        elif one != other:
            fields = [f"{name} is {_brief(a)}, from scratch {_brief(b)}"
                      for name, a, b in zip(COLUMNS[part], one, other) if a != b]
            wrong.append(f"one of the {part} differs: {one[0]} {one[1]} to {one[2]}: {'; '.join(fields)}")
    return wrong


def _brief(value):
    text = str(value)
    return text if len(text) < 60 else text[:57] + "..."
