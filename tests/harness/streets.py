"""The ground of the demo's map: streets, water, parks and houses of the same extract that OSRM's graph is made of."""

import functools
import json

import osmium

from . import env

MAP = env.OSRM_GRAPH.with_suffix(".osm.pbf")
MAJOR = {"motorway", "trunk", "primary", "primary_link", "secondary", "secondary_link"}
STREETS = {"tertiary", "tertiary_link", "unclassified", "residential", "living_street", "service"}
PATHS = {"footway", "cycleway", "path", "pedestrian", "steps", "track"}
GREEN = {("leisure", "park"), ("leisure", "pitch"), ("leisure", "garden"), ("landuse", "grass"), ("landuse", "forest"),
         ("natural", "scrub"), ("natural", "wood"), ("landuse", "cemetery"), ("leisure", "playground")}
DECIMALS = 6


def _area_kind(tags):
    if "building" in tags:
        return "building"
    if tags.get("natural") == "water" or tags.get("landuse") == "basin":
        return "water"
    return "green" if any(tags.get(key) == value for key, value in GREEN) else None


def _line_kind(tags):
    highway = tags.get("highway")
    if highway is None or tags.get("area") == "yes":
        return "rail" if tags.get("railway") in ("rail", "tram") and "tunnel" not in tags else None
    for kind, values in (("major", MAJOR), ("street", STREETS), ("path", PATHS)):
        if highway in values:
            return kind
    return None


def _places(nodes):
    # The map is cut out of a larger one: what lies beyond its edge has no location.
    return [[round(node.lon, DECIMALS), round(node.lat, DECIMALS)] for node in nodes if node.location.valid()]


class _Ground(osmium.SimpleHandler):
    def __init__(self):
        super().__init__()
        self.features = []

    def way(self, way):
        kind = _line_kind(way.tags)
        places = _places(way.nodes) if kind else []
        if len(places) > 1:
            self._add(kind, way.tags.get("name"), "LineString", places)

    def area(self, area):
        kind = _area_kind(area.tags)
        for ring in area.outer_rings() if kind else ():
            self._add(kind, None, "Polygon", [_places(ring), *map(_places, area.inner_rings(ring))])

    def _add(self, kind, name, form, coordinates):
        named = {"name": name} if name and kind in ("major", "street") else {}
        self.features.append({"type": "Feature", "properties": {"kind": kind, **named},
                              "geometry": {"type": form, "coordinates": coordinates}})


@functools.cache
def geojson():
    """As the text of a FeatureCollection."""
    ground = _Ground()
    ground.apply_file(str(MAP), locations=True)
    return json.dumps({"type": "FeatureCollection", "features": ground.features}, separators=(",", ":"))
