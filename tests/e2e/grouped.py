"""What the tests of groups of devices share: servers for cars and for bicycles, rides, and how far lines are off them."""

import math
from datetime import timedelta

import pytest
from drives import recent_window

from harness import env
from harness.osrm import Osrm
from harness.route import METRES_A_DEGREE, Route

ON_THE_WAY = 5.0  # metres: vertices are rounded, and left out where they say little
WAY = "24.94443,60.17515;24.94290,60.16958"


@pytest.fixture(scope="module")
def bicycle_osrm():
    with Osrm(graph=env.OSRM_BICYCLE_GRAPH, name="osrm-bicycle") as server:
        yield server


def make_group(db, name, url, **columns):
    """A group; `columns` are those of osrm_groups."""
    columns = {"name": name, "osrm_url": url, **columns}
    marks = ", ".join(["%s"] * len(columns))
    db.rows(f"INSERT INTO osrm_groups ({', '.join(columns)}) VALUES ({marks})", list(columns.values()))


def ride(bicycle_osrm, start=None, speed=5.0):
    """Fixes (longitude, latitude, recorded_at) of a ride of 1.9 km, every five seconds and without noise. It leads over
    cycle ways that are up to 110 m off every road that a car may take."""
    answer = bicycle_osrm.get(f"/route/v1/cycling/{WAY}?overview=full&geometries=geojson")
    vertices = answer["routes"][0]["geometry"]["coordinates"]
    times = [0.0]
    for step in zip(vertices, vertices[1:]):
        times.append(times[-1] + _distance(*step) / speed)
    route = Route(vertices, times)
    start = start or recent_window(90)
    return [(*route.at(after), start + timedelta(seconds=after)) for after in range(0, int(times[-1]), 5)]


def groups(db, devices):
    return dict(db.rows("SELECT * FROM get_osrm_groups(%s)", (list(devices),)))


def keeps_to(db, device, fixes):
    """Whether a device has a line on ways all along, and all of these fixes lie on it."""
    lines = {}
    for start, status, lon, lat in db.rows("""
            SELECT p.start_time, p.match_status, d.longitude, d.latitude
              FROM cached_polylines p CROSS JOIN LATERAL decode_polyline(p.encoded_polyline) d
             WHERE p.device_id = %s ORDER BY p.start_time, d.ordinal""", (device,)):
        lines.setdefault((start, status), []).append((lon, lat))
    assert lines, f"{device} has no line"
    steps = [step for line in lines.values() for step in zip(line, line[1:])]
    farthest = max(min(_distance_to_step(fix, step) for step in steps) for fix in fixes)
    return {status for _, status in lines} == {"matched"} and farthest < ON_THE_WAY


def _distance(place, other):
    return _distance_to_step(place, (other, other))


def _distance_to_step(fix, step):
    shrunk = math.cos(math.radians(fix[1])) * METRES_A_DEGREE
    (ax, ay), (bx, by) = (((lon - fix[0]) * shrunk, (lat - fix[1]) * METRES_A_DEGREE) for lon, lat in step)
    length = (bx - ax) ** 2 + (by - ay) ** 2
    along = min(1.0, max(0.0, -(ax * (bx - ax) + ay * (by - ay)) / length)) if length else 0.0
    return math.hypot(ax + along * (bx - ax), ay + along * (by - ay))
