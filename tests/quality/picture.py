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


def draw(path, title, fixes, truth, defaults, ours):
    """Writes an SVG; the arguments after the title are lists of lon/lat places or lines."""
    plane = Plane(*truth[0][0])
    lines = [plane.to_metres(line) for line in truth]
    low = [min(float(line[:, k].min()) for line in lines) for k in (0, 1)]
    high = [max(float(line[:, k].max()) for line in lines) for k in (0, 1)]
    scale = min(
        (WIDTH - 2 * MARGIN) / max(high[0] - low[0], 1.0),
        (HEIGHT - 2 * MARGIN - LEGEND) / max(high[1] - low[1], 1.0),
    )
    left = (WIDTH - scale * (high[0] - low[0])) / 2

    def pixels(line):
        return [
            (left + scale * (x - low[0]), HEIGHT - MARGIN - scale * (y - low[1]))
            for x, y in plane.to_metres(line)
        ]

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for (_, colour, width, opacity), lines in zip(LAYERS, (truth, defaults, ours)):
        parts += [_polyline(pixels(line), colour, width, opacity) for line in lines if len(line) > 1]
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="#202124"/>' for x, y in pixels(fixes)]
    parts += [*_legend(title), "</svg>"]
    Path(path).write_text("\n".join(parts) + "\n")


def _polyline(points, colour, width, opacity):
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width}"'
        f' stroke-opacity="{opacity}" stroke-linejoin="round"/>'
    )


def _legend(title):
    yield f'<rect width="{WIDTH}" height="{LEGEND}" fill="white" fill-opacity="0.85"/>'
    yield f'<text x="{MARGIN}" y="24" font-size="18">{title}</text>'
    for number, (what, colour, width, _) in enumerate(LAYERS):
        x = MARGIN + 200 * number
        yield f'<path d="M{x} 44h40" stroke="{colour}" stroke-width="{width}"/>'
        yield f'<text x="{x + 50}" y="49" font-size="15">{what}</text>'
    x = MARGIN + 200 * len(LAYERS)
    yield f'<circle cx="{x}" cy="44" r="2.5"/><text x="{x + 12}" y="49" font-size="15">fix</text>'
