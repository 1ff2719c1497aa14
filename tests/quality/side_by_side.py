"""Two lines for one drive, beside each other on a map, as an SVG.

It brings its own background, so it looks the same on light and dark pages; no text is smaller than 12 px at
the width that a document gives it.
"""

from pathlib import Path
from typing import NamedTuple

from picture import View, dots, polyline

PANEL = 430  # pixels, wide and high
MARGIN, GAP, HEAD, FOOT = 14, 16, 62, 64  # pixels around the panels, between, above and below
WIDTH, HEIGHT = 2 * (PANEL + MARGIN) + GAP, HEAD + PANEL + FOOT
TEXT, FAINT, STREET, DRIVEN = "#202124", "#5f6368", "#d6d9de", "#ffd666"
BAR = 100  # metres
ATTRIBUTION = "© OpenStreetMap contributors"


class Panel(NamedTuple):
    title: str
    note: str
    colour: str
    lines: list


class Scene(NamedTuple):
    """What both panels show behind and above their line, in lon/lat."""

    streets: list
    truth: list
    fixes: list


def draw(path, scene, panels, caption, corner, scale):
    """Writes the picture. `corner` (lon/lat) is the lower left of what is shown, `scale` its pixels to a metre."""
    view = View(corner, 0, PANEL, scale)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        ' font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        "<defs>",
        f'<clipPath id="frame"><rect width="{PANEL}" height="{PANEL}"/></clipPath>',
        _group("behind", _visible(view, scene.streets, STREET, 3) + _visible(view, scene.truth, DRIVEN, 10)),
        _group("fixes", dots(filter(_is_in_panel, view.pixels(scene.fixes)))),
        "</defs>",
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, view, MARGIN + number * (PANEL + GAP))
    parts += [*_legend(panels), *_bar(scale), _text(MARGIN, HEIGHT - 15, caption, colour=FAINT), "</svg>"]
    Path(path).write_text("\n".join(parts) + "\n")


def _panel(panel, view, left):
    yield _text(left, 27, panel.title, size=17, weight="bold")
    yield _text(left, 49, panel.note, size=14, colour=FAINT)
    yield f'<g transform="translate({left} {HEAD})"><g clip-path="url(#frame)"><use href="#behind"/>'
    yield from _visible(view, panel.lines, panel.colour, 3)
    yield f'<use href="#fixes"/></g><rect width="{PANEL}" height="{PANEL}" fill="none" stroke="{STREET}"/></g>'


def _legend(panels):
    """What the colours mean, under the panels."""
    y, x = HEAD + PANEL + 24, MARGIN
    yield f'<circle cx="{x + 4}" cy="{y - 4}" r="2.5" fill="{TEXT}"/>{_text(x + 14, y, "GPS fix")}'
    strokes = [(DRIVEN, 10, "way driven"), *((panel.colour, 3, panel.title) for panel in panels), (STREET, 3, "street")]
    x += 84
    for colour, width, what in strokes:
        yield f'<path d="M{x} {y - 4}h26" stroke="{colour}" stroke-width="{width}"/>{_text(x + 34, y, what)}'
        x += 60 + 7 * len(what)


def _bar(scale):
    """How long a distance is, and whose the map is."""
    y = HEAD + PANEL + 24
    length = BAR * scale
    left = WIDTH - MARGIN - length
    yield f'<path d="M{left} {y - 8}v5h{length:.0f}v-5" fill="none" stroke="{FAINT}"/>'
    yield _text(left - 8, y, f"{BAR} m", colour=FAINT, anchor="end")
    yield _text(WIDTH - MARGIN, HEIGHT - 15, ATTRIBUTION, colour=FAINT, anchor="end")


def _text(x, y, text, size=13, colour=TEXT, weight="normal", anchor="start"):
    return (
        f'<text x="{x:.0f}" y="{y}" font-size="{size}" fill="{colour}" font-weight="{weight}"'
        f' text-anchor="{anchor}">{text}</text>'
    )


def _group(name, parts):
    return "\n".join([f'<g id="{name}">', *parts, "</g>"])


def _visible(view, lines, colour, width):
    """Those of the lines that come into the panel."""
    drawn = (view.pixels(line) for line in lines if len(line) > 1)
    return [polyline(points, colour, width) for points in drawn if _touches_panel(points)]


def _touches_panel(points):
    """Whether the box around the points does."""
    return all(min(p[k] for p in points) < PANEL and max(p[k] for p in points) > 0 for k in (0, 1))


def _is_in_panel(point):
    return all(0 <= value <= PANEL for value in point)
