#!/usr/bin/env python3
"""`make picture`: a noisy trace as OSRM alone draws it and as the extension does, for the documents.

The trace is one of `make quality`, with its fixed seed, and an ordinary one: of the six tours of its cell two
have a larger mismatch with OSRM's defaults, three a smaller one. The whole drive is matched, and the figures
are of the whole; what is shown is a part of it, large enough for the difference to be seen.
"""

import os
import sys
from pathlib import Path

import osmium

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import env  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402

import baseline  # noqa: E402
import drives  # noqa: E402
import extension  # noqa: E402
import side_by_side  # noqa: E402
from mismatch import Truth  # noqa: E402

OUT = env.ROOT / "docs/images/noisy-trace.svg"
MAP = env.OSRM_GRAPH.with_suffix(".osm.pbf")
# Ways that OSRM's profile for cars knows, of those that are on this map.
STREETS = {
    "primary", "primary_link", "secondary", "tertiary", "tertiary_link", "unclassified", "residential", "service",
}
CELL, TOUR = drives.Cell(interval=5, noise=10, correlated=True, rough=False), 5
CAPTION = "Part of a drive, the figures are of the whole: a fix every 5 s, 10 m of correlated noise"
CORNER, SCALE = (24.9345, 60.1650), 0.5  # lower left of what is shown, pixels to a metre


class Streets(osmium.SimpleHandler):
    """Lines of the streets in a map."""

    def __init__(self, path):
        super().__init__()
        self.lines = []
        self.apply_file(str(path), locations=True)

    def way(self, way):
        if way.tags.get("highway") in STREETS:
            # The map is cut out of a larger one: what lies beyond its edge has no location.
            self.lines.append([(node.lon, node.lat) for node in way.nodes if node.location.valid()])


def match(osrm, whole, cluster):
    """The drive, OSRM's lines for it, ours."""
    drive = drives.fleet(osrm.url, [CELL])[TOUR]
    db = extension.new_database(cluster, "picture", osrm)
    extension.match_in_bulk(db, [drive])
    ours = extension.lines(extension.paths(db), [drive])
    return drive, baseline.match(whole, [drive])[drive.device], ours[drive.device]


def draw(drive, defaults, ours):
    truth = Truth(drive.truth)

    def wrong(lines):
        return f"{100 * truth.mismatch(lines).total:.1f} % of the way missing or in excess"

    panels = [
        side_by_side.Panel("OSRM alone", f"its defaults: {wrong(defaults)}", "#d93025", defaults),
        side_by_side.Panel("osrm_matcher", f"the same fixes: {wrong(ours)}", "#1a73e8", ours),
    ]
    scene = side_by_side.Scene(Streets(MAP).lines, drive.truth, [place for _, *place in drive.fixes])
    OUT.parent.mkdir(parents=True, exist_ok=True)
    side_by_side.draw(OUT, scene, panels, CAPTION, CORNER, SCALE)
    print(f"{OUT.relative_to(env.ROOT)}: {OUT.stat().st_size // 1000} kB; {panels[0].note}; {panels[1].note}")


def main():
    exit_on_signals()
    with (
        Osrm(name="osrm-picture") as osrm,
        Osrm(name="osrm-picture-whole", max_matching_size=baseline.MAX_MATCHING_SIZE) as whole,
        Cluster(f"picture-{os.getpid()}", conf={"fsync": "off"}) as cluster,
    ):
        draw(*match(osrm, whole, cluster))


if __name__ == "__main__":
    sys.exit(main())
