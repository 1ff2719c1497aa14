"""What the tests of the map page share: a browser, servers of maps, and ways to wait for what is to be seen.

What lies on the canvas is told by its colours. Pictures of the screen are left in target/map.
"""

from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest
from demo.vehicles import make_fleet
from drives import insert, process_all, recent_window
from harness.map_server import MapServer

browser = pytest.importorskip("harness.browser", reason="there is no selenium to steer a browser with")
if not browser.CHROMIUM.exists():
    pytest.skip("there is no Chromium", allow_module_level=True)

SECONDS = 240  # of the fleet's drive
QUICK = {"poll": 0.2}  # seconds between two questions, so that tests need not wait for them


@pytest.fixture(scope="module")
def chrome():
    with browser.Browser() as chrome:
        yield chrome


@pytest.fixture
def page(chrome):
    """The browser on a desktop by day; afterwards the console must have said nothing."""
    chrome.look()
    yield chrome
    assert chrome.said() == []


@contextmanager
def served(db):
    """A server of the map that may only read."""
    reader = f"map_{db.name}"
    db.rows(f"CREATE ROLE {reader} LOGIN; SELECT grant_reader('{reader}')")
    with MapServer(db, reader) as server:
        yield server
    db.rows(f"DROP OWNED BY {reader}; DROP ROLE {reader}")


def fill(db, osrm):
    """The demo's vehicles, on their way until a moment ago; the parked one was heard of an hour ago last.

    It stands within one slot: what is left of a stop beyond a slot's end may be too short to be one.
    """
    fleet = make_fleet(osrm, SECONDS)
    begin = datetime.now(timezone.utc) - timedelta(seconds=SECONDS + 5)
    for vehicle in fleet:
        fixes = [fix for second in range(SECONDS) for fix in vehicle.tick(second)]
        start = begin if vehicle.moves else recent_window()
        insert(db, vehicle.name, [(f.longitude, f.latitude, start + timedelta(seconds=f.seconds)) for f in fixes])
    process_all(db)


@pytest.fixture(scope="module")
def town(osrm, database_with_extension):
    """A server of the map over a database in which the demo's fleet has driven; nobody writes to it."""
    with database_with_extension() as db:
        fill(db, osrm)
        with served(db) as server:
            yield server


@pytest.fixture
def server(db, chrome):
    with served(db) as server:
        yield server
        chrome.leave()


def open_fleet(page, server, **options):
    page.open(server.address(**options))
    page.until(lambda: "Live" in page.text("#age-text"), "the fleet to come")


def open_day(page, server, device, **options):
    page.open(server.address(device, **options))
    page.until(lambda: page.is_shown("#timeline"), "the day to come")


def lines_of(page, colour="matched"):
    return page.pixels("lines", colour)["count"]


def has_lines(page, colour="matched"):
    page.until(lambda: lines_of(page, colour) > 50, f"lines that are {colour}")
