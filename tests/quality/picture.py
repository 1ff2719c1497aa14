"""A drive as a picture that a person can judge: truth, fixes, OSRM's defaults, ours."""

from pathlib import Path

from motion import Plane

WIDTH, HEIGHT = 1400, 1000  # pixels
MARGIN = 30
LEGEND = 60
LAYERS = (
    # what, colour, width in pixels, opacity
    ("truth", "#9aa0a6", 9, 0.6),
    ("OSRM's defaults", "#d93025", 3, 0.7),
    ("ours", "#1a73e8", 3, 0.9),
)


class View:
    """Where places of the map lie in a picture: `corner` (lon/lat) at `left` and `bottom`, so many pixels
    to a metre."""

    def __init__(self, corner, left, bottom, scale):
        self._plane = Plane(*corner)
        self._left, self._bottom, self._scale = left, bottom, scale

    def pixels(self, line):
        metres = self._plane.to_metres(line)
        return [(self._left + self._scale * x, self._bottom - self._scale * y) for x, y in metres]


def draw(path, title, fixes, truth, defaults, ours):
    """Writes an SVG; the arguments after the title are lists of lon/lat places or lines."""
    low = [min(place[k] for line in truth for place in line) for k in (0, 1)]
    high = [max(place[k] for line in truth for place in line) for k in (0, 1)]
    width, height = Plane(*low).to_metres(high)
    scale = min((WIDTH - 2 * MARGIN) / max(width, 1.0), (HEIGHT - 2 * MARGIN - LEGEND) / max(height, 1.0))
    view = View(low, (WIDTH - scale * width) / 2, HEIGHT - MARGIN, scale)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for (_, colour, width, opacity), lines in zip(LAYERS, (truth, defaults, ours)):
        parts += [polyline(view.pixels(line), colour, width, opacity) for line in lines if len(line) > 1]
    parts += dots(view.pixels(fixes))
    parts += [*_legend(title), "</svg>"]
    Path(path).write_text("\n".join(parts) + "\n")


def polyline(points, colour, width, opacity=1):
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width}"'
        f' stroke-opacity="{opacity}" stroke-linejoin="round"/>'
    )


def dots(points):
    return [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="#202124"/>' for x, y in points]


def _legend(title):
    yield f'<rect width="{WIDTH}" height="{LEGEND}" fill="white" fill-opacity="0.85"/>'
    yield f'<text x="{MARGIN}" y="24" font-size="18">{title}</text>'
    for number, (what, colour, width, _) in enumerate(LAYERS):
        x = MARGIN + 200 * number
        yield f'<path d="M{x} 44h40" stroke="{colour}" stroke-width="{width}"/>'
        yield f'<text x="{x + 50}" y="49" font-size="15">{what}</text>'
    x = MARGIN + 200 * len(LAYERS)
    yield f'<circle cx="{x}" cy="44" r="2.5"/><text x="{x + 12}" y="49" font-size="15">fix</text>'
