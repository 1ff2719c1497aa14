"""The map page in a real browser, over the real extension: what a person sees of it, and what their hands do.

What lies on the canvas is told by its colours. Pictures of the screen are left in target/map.
"""

from datetime import datetime, timedelta, timezone

import psycopg2
import pytest
from demo.vehicles import make_fleet
from drives import drive, insert, process_all, recent_window
from harness.map_server import MapServer
from selenium.webdriver.common.keys import Keys

browser = pytest.importorskip("harness.browser", reason="there is no selenium to steer a browser with")
if not browser.CHROMIUM.exists():
    pytest.skip("there is no Chromium", allow_module_level=True)

SECONDS = 240  # of the fleet's drive
QUICK = {"poll": 0.2}  # seconds between two questions, so that tests need not wait for them
HOSTILE = [
    "</script><script>window.hit = 1</script>", "<img src=x onerror='window.hit=1'>", "\"'`&amp;\\{},%s$$",
    "\N{AERIAL TRAMWAY}" * 63 + "abc",
]


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


def fill(db, osrm):
    """The demo's vehicles, on their way until a moment ago; the parked one was heard of an hour ago last."""
    fleet = make_fleet(osrm, SECONDS)
    begin = datetime.now(timezone.utc) - timedelta(seconds=SECONDS + 5)
    for vehicle in fleet:
        fixes = [fix for second in range(SECONDS) for fix in vehicle.tick(second)]
        start = begin if vehicle.moves else begin - timedelta(hours=1)
        insert(db, vehicle.name, [(f.longitude, f.latitude, start + timedelta(seconds=f.seconds)) for f in fixes])
    process_all(db)


@pytest.fixture(scope="module")
def town(osrm, database_with_extension):
    """A server of the map over a database in which the demo's fleet has driven; nobody writes to it."""
    with database_with_extension() as db:
        fill(db, osrm)
        with MapServer(db) as server:
            yield server


@pytest.fixture
def server(db, chrome):
    with MapServer(db) as server:
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


# --- what is seen ---------------------------------------------------------------------------


def test_the_fleet_is_on_the_map_and_in_the_list(page, town):
    open_fleet(page, town)
    has_lines(page)
    page.until(lambda: page.text("#count").startswith("20 devices"), "all devices, the one without a path, too")
    page.until(lambda: page.pixels("marks", "matched")["count"] > 200, "vehicles")
    page.until(lambda: page.pixels("ground", "street")["count"] > 1000, "streets")
    page.keep("fleet")


def test_a_day_has_its_lines_at_their_place_and_its_figures(page, town):
    open_day(page, town, "bus-1")
    has_lines(page)
    page.until(lambda: page.pixels("ground", "street")["count"] > 1000, "the streets, which come after all else")
    drawn = page.pixels("lines", "matched")
    east, north = town.database.rows("""
        SELECT cos(radians(60.17)) * (max(longitude) - min(longitude)), max(latitude) - min(latitude)
          FROM get_path_points('bus-1', now() - interval '1 h', now())""")[0]
    assert drawn["width"] / drawn["height"] == pytest.approx(east / north, rel=0.1)
    length = town.database.value("SELECT round(sum(length_m)) FROM cached_polylines WHERE device_id = 'bus-1'")
    figures = dict(zip(page.texts("#figures dt"), page.texts("#figures dd")))
    assert float(figures["Matched"].removesuffix(" km")) == pytest.approx(length / 1000, abs=0.06)
    assert "newest" in page.text("#age-text")
    page.keep("day")


def test_stops_are_listed_with_their_length(page, town):
    open_day(page, town, "parked-1")
    page.until(lambda: page.texts("#stops li"), "a stop")
    assert page.texts("#stops span") == ["4 min"]
    page.until(lambda: page.pixels("lines", "stop")["count"] > 20, "its sign on the map")


def test_kinds_differ_by_colour_and_by_dashes(page, db, server):
    begin = recent_window(10)
    kinds = {"good": "matched", "doubtful": "doubtful", "raw": "raw"}
    for number, grade in enumerate(kinds):
        db.rows("""
            INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count, grade)
            SELECT 'mixed', %s, %s, encode_polyline('{24.93,24.95}', ARRAY[y, y]), 2, %s
              FROM (VALUES (60.16 + %s * 0.004)) AS v (y)""",
                (begin + timedelta(minutes=number), begin + timedelta(minutes=number + 1), grade, number))
    insert(db, "mixed", [(24.95 - n * 0.002, 60.175, begin + timedelta(minutes=4, seconds=10 * n)) for n in range(8)])
    open_day(page, server, "mixed")
    for kind in (*kinds.values(), "tail"):
        has_lines(page, kind)
        page.click(f"#show-{kind}")
        page.until(lambda: lines_of(page, kind) < 50, f"{kind} lines to be hidden")
        page.click(f"#show-{kind}")
    dashes = page.run("return [...document.querySelectorAll('#kinds path')].map((one) => one.getAttribute('stroke-dasharray'))")
    assert len(set(dashes)) == len(dashes) == 4
    page.keep("kinds")


def test_fixes_are_dots_on_request(page, town):
    open_day(page, town, "van-5")
    has_lines(page)
    before = lines_of(page, "fix")
    page.click("#show-fixes")
    page.until(lambda: lines_of(page, "fix") > before + 200, "the fixes")
    page.keep("fixes")


def test_by_night_the_page_is_dark(page, town):
    page.look(dark=True)
    open_day(page, town, "taxi-1")
    has_lines(page)
    background = page.run("return getComputedStyle(document.querySelector('#panel')).backgroundColor")
    assert max(int(part) for part in background[4:-1].split(",")) < 64
    page.keep("night")
    page.look()
    page.until(lambda: lines_of(page) > 50, "the lines in the colours of the day")


@pytest.mark.parametrize("device", [None, "taxi-3"], ids=["fleet", "day"])
def test_a_phone_has_room_for_it(page, town, device):
    page.look(browser.PHONE)
    page.open(town.address(device))
    has_lines(page)
    assert page.run("return document.documentElement.scrollWidth") <= browser.PHONE[0]
    assert page.run("return document.querySelector('#map').clientHeight") > 300
    page.keep("phone-day" if device else "phone-fleet")
    page.click("#fold")
    page.until(lambda: page.run("return document.querySelector('#map').clientHeight") > 550, "more of the map")


# --- what happens by itself -----------------------------------------------------------------


def test_a_new_path_appears_by_itself(page, db, server, osrm):
    begin = datetime.now(timezone.utc) - timedelta(minutes=8)
    insert(db, "bus", drive(osrm, begin, 120))
    process_all(db)
    open_fleet(page, server, **QUICK)
    has_lines(page)
    page.run("window.before = true")
    insert(db, "tram", drive(osrm, begin, 400, seed=2))
    process_all(db)
    page.until(lambda: page.text("#count").startswith("2 devices"), "the tram in the list")
    page.click(".device:not([hidden]) .name")
    has_lines(page)
    before = page.text("#end")
    insert(db, "bus", drive(osrm, begin, 460)[24:])
    process_all(db)
    page.until(lambda: page.text("#end") != before, "the day to go on")
    assert page.run("return window.before") is True


def test_points_that_wait_are_the_tail(page, db, server, osrm):
    insert(db, "bus", drive(osrm, datetime.now(timezone.utc) - timedelta(seconds=100), 100))
    open_day(page, server, "bus", **QUICK)
    has_lines(page, "tail")
    assert "Waiting" in page.texts("#figures dt")
    process_all(db)
    has_lines(page)
    page.until(lambda: "Tail" not in page.texts("#figures dt"), "the tail to go")


def test_a_lost_server_is_told_and_recovered_from(chrome, db, server, osrm):
    chrome.look()
    insert(db, "bus", drive(osrm, recent_window(10), 120))
    process_all(db)
    open_fleet(chrome, server, **QUICK)
    server.stop()
    chrome.until(lambda: "not reached" in chrome.text("#banner-text"), "the loss to be told")
    assert chrome.text("#age-text").startswith("Not live")
    has_lines(chrome)  # what is known stays
    chrome.keep("lost")
    server.start()
    chrome.click("#again")
    chrome.until(lambda: chrome.text("#age-text").startswith("Live") and not chrome.is_shown("#banner"), "the recovery")
    assert all("ERR_CONNECTION" in line or "ERR_EMPTY" in line for line in chrome.said())


def test_an_error_of_the_database_is_told_in_its_words(chrome, db, server):
    chrome.look()
    db.rows("CREATE OR REPLACE FUNCTION get_fleet_page(hours numeric DEFAULT 1) RETURNS json LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE 'the <b>fleet</b> is asleep' USING HINT = 'Wake it.'; END $$")
    chrome.open(server.address())
    chrome.until(lambda: "the <b>fleet</b> is asleep \N{EN DASH} Wake it." in chrome.text("#banner-text"), "the error")
    assert "answers with an error" in chrome.text("#banner-text")
    assert all("400" in line for line in chrome.said())


# --- hands and keys -------------------------------------------------------------------------


def test_keys_find_open_play_and_leave_a_device(page, town):
    open_fleet(page, town)
    page.until(lambda: page.texts(".device"), "the list")
    page.press("/")
    page.press("taxi")
    page.until(lambda: page.text("#count") == "6 of 20 devices", "the devices that are sought")
    page.press(Keys.ARROW_DOWN)
    page.press(Keys.ARROW_DOWN)
    assert page.text(".device[aria-selected=true] .name") == "taxi-2"
    page.press(Keys.ENTER)
    page.until(lambda: page.text("#title") == "taxi-2" and page.is_shown("#timeline"), "the day")
    page.press(Keys.SPACE)
    page.until(lambda: page.run("return Number(document.querySelector('#time').value)") > 5, "the film to go on")
    page.press(Keys.SPACE)
    assert page.find("#play").get_attribute("aria-pressed") == "false"
    page.press(Keys.ESCAPE)
    page.until(lambda: page.text("#title") == "Fleet", "the fleet")
    page.driver.back()
    page.until(lambda: page.text("#title") == "taxi-2", "the way back")


def test_the_slider_shows_the_day_up_to_a_moment(page, town):
    open_day(page, town, "bus-1")
    has_lines(page)
    whole = lines_of(page)
    page.click("#time")
    page.press(Keys.HOME)
    page.until(lambda: lines_of(page) < whole / 20, "nothing to be driven yet")
    assert page.text("#moment strong").startswith(page.text("#begin"))
    page.press(*[Keys.PAGE_UP] * 5)
    page.until(lambda: whole / 4 < lines_of(page) < whole * 3 / 4, "half of it to be driven")
    assert "driving" in page.find("#time").get_attribute("aria-valuetext")
    page.keep("slider")
    page.press(Keys.END)
    page.until(lambda: lines_of(page) > whole * 0.9, "all of it to be driven")


def test_other_days_can_be_looked_at(page, town):
    open_day(page, town, "bus-1")
    page.click("#earlier")
    page.until(lambda: "Nothing is known of this day." in page.texts("#figures dd"), "the empty day")
    page.click("#latest")
    page.until(lambda: page.is_shown("#timeline"), "the last 24 hours")


# --- names, files, crowds -------------------------------------------------------------------


@pytest.fixture
def hostile(db, osrm):
    for number, name in enumerate(HOSTILE):
        insert(db, name, drive(osrm, recent_window(10), 100, seed=number))
    process_all(db)
    return db


def test_a_hostile_name_is_text(page, hostile, server):
    open_fleet(page, server)
    page.until(lambda: len(page.texts(".device:not([hidden]) .name")) == len(HOSTILE), "the list")
    assert sorted(page.texts(".device:not([hidden]) .name")) == sorted(HOSTILE)
    page.keep("hostile")
    for name in HOSTILE:
        page.open(server.address(name))
        has_lines(page)
        assert page.text("#title") == name
        assert page.driver.title.startswith(name[:20])
    assert page.run("return window.hit") is None


@pytest.mark.parametrize("name", HOSTILE)
def test_a_day_in_a_file_opens_without_a_server(page, hostile, tmp_path, name):
    file = tmp_path / "day.html"
    literal = "'" + name.replace("'", "''") + "'"
    file.write_text(hostile.psql("-XAtq", "-f", "-", input=f"SELECT get_map_page({literal}, fixes => true);").stdout)
    page.open(file.as_uri())
    has_lines(page)
    assert page.text("#title") == name
    assert page.text("#age-text").startswith("Made ")
    assert page.run("return window.hit ?? performance.getEntriesByType('resource').length") == 0
    page.click("#show-fixes")
    has_lines(page, "fix")
    page.keep("file")


def test_a_page_that_was_not_built_is_an_error_with_a_hint(db):
    db.rows("CREATE OR REPLACE FUNCTION _map_file() RETURNS text LANGUAGE sql STABLE RETURN '/nowhere/map.html'")
    with pytest.raises(psycopg2.errors.UndefinedFile) as told:
        db.rows("SELECT get_map_page()")
    assert 'there is no file "/nowhere/map.html"' in told.value.diag.message_primary
    assert "libjs-leaflet" in told.value.diag.message_hint


CROWD = """
    INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)
    SELECT 'van ' || d, now() - w * interval '5 min', now() - (w - 1) * interval '5 min', l.line, 60
      FROM generate_series(1, 2000) d, generate_series(1, 12) w,
           LATERAL (SELECT encode_polyline(array_agg(24.9 + d % 50 * 0.01 + 0.004 * sin(d + w * 60 + n / 9.0)),
                                           array_agg(60.1 + d / 50 * 0.005 + 0.002 * cos(d * 7 + (w * 60 + n) / 11.0))) AS line
                      FROM generate_series(1, 60) n) l"""
WATCH = """
    window.frames = 0; window.longest = 0;
    const tick = () => { window.frames++; requestAnimationFrame(tick); };
    requestAnimationFrame(tick);
    new PerformanceObserver((list) => list.getEntries().forEach((one) => {
        window.longest = Math.max(window.longest, one.duration); })).observe({type: 'longtask'});"""


def test_two_thousand_devices_for_an_hour_can_be_moved_through(page, db, server, capsys):
    db.rows(CROWD)
    page.open(server.address())
    page.until(lambda: page.text("#count").startswith("2000 devices"), "the crowd", 60)
    has_lines(page)
    assert len(page.texts(".device")) < 60
    page.run(WATCH)
    drawn = page.run("return Number(document.querySelector('#map').dataset.painted)")
    for key in ("+", Keys.ARROW_LEFT, Keys.ARROW_UP, "-"):
        page.find("#map").send_keys(key)
        drawn = page.until(
            lambda: (now := page.run("return Number(document.querySelector('#map').dataset.painted)")) > drawn and now,
            "the map to be painted anew", 60)
    page.run("document.querySelector('#list').focus()")
    page.press(Keys.END)
    page.until(lambda: "van 2000" in page.texts(".device:not([hidden]) .name"), "the end of the list")
    frames, longest = page.run("return [window.frames, window.longest]")
    page.keep("crowd")
    with capsys.disabled():
        print(f"\n2000 devices, 24000 paths: {frames} frames while moving, longest task {longest:.0f} ms")


def test_the_time_to_a_day_is_told(page, town, capsys):
    times = []
    for device in ("bus-1", "bus-2", "taxi-1", "van-1", "courier-1"):
        open_day(page, town, device)
        times.append(page.until(lambda: page.run("return performance.getEntriesByName('lines')[0]?.startTime"), "the lines"))
    with capsys.disabled():
        print(f"\nfirst paint of a device's day: {', '.join(f'{time:.0f}' for time in sorted(times))} ms after its address")
