"""The map page in a real browser: what comes by itself, what is lost, hostile names, files, and crowds."""

from datetime import datetime, timedelta, timezone
from threading import Event

import pytest
from drives import drive, insert, process_all, recent_window
from maps import QUICK, chrome, has_lines, lines_of, open_day, open_fleet, page, server  # noqa: F401
from selenium.webdriver.common.keys import Keys

HOSTILE = [
    "</script><script>window.hit = 1</script>", "<img src=x onerror='window.hit=1'>", "\"'`&amp;\\{},%s$$",
    "\N{AERIAL TRAMWAY}" * 63 + "abc",
]


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


def test_vehicles_are_there_before_their_lines(page, db, server, osrm, monkeypatch):
    insert(db, "bus", drive(osrm, datetime.now(timezone.utc) - timedelta(minutes=8), 400))
    process_all(db)
    lines, call = Event(), server.call

    def slowly(name, arguments):
        if name == "get_fleet_page":
            assert lines.wait(30)
        return call(name, arguments)

    monkeypatch.setattr(server, "call", slowly)
    page.open(server.address())
    page.until(lambda: page.text("#count").startswith("1 device,"), "the vehicle")
    assert lines_of(page) == 0
    lines.set()
    has_lines(page)


def test_a_device_that_is_forgotten_goes_with_the_next_whole(page, db, server, osrm):
    for device in ("bus", "tram"):
        insert(db, device, drive(osrm, recent_window(10), 120))
    process_all(db)
    open_fleet(page, server)
    page.until(lambda: page.text("#count").startswith("2 devices"), "both")
    db.rows("SELECT * FROM forget_device('tram', with_points => true)")
    page.run("document.querySelector('#hours').value = 3; document.querySelector('#hours').dispatchEvent(new Event('change'))")
    page.until(lambda: page.text("#count").startswith("1 device,"), "one to go")


def test_lines_that_were_deleted_go_from_an_open_day_with_the_next_whole(page, db, server, osrm):
    insert(db, "bus", drive(osrm, recent_window(10), 120))
    process_all(db)
    open_day(page, server, "bus", **QUICK)
    has_lines(page)
    db.rows("SELECT * FROM forget_device('bus')")
    page.run("const now = Date.now; Date.now = () => now() + 11 * 60_000")
    page.until(lambda: lines_of(page) == 0, "the lines to go")


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
    assert chrome.is_shown("#again")
    server.start()
    # The page may find it by itself, and hide the button, before a pointer is there.
    chrome.run("document.querySelector('#again').click()")
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


def over_180_degrees(begin, seconds=600):
    """A ferry near Fiji that sails east, 20 m/s."""
    longitudes = (179.95 + second * 20 / 106_600 for second in range(0, seconds, 5))
    return [(lon - 360 if lon > 180 else lon, -16.8, begin + timedelta(seconds=5 * n)) for n, lon in enumerate(longitudes)]


def scale_of(page):
    """Metres that the bar of the map's scale stands for."""
    number, unit = page.text(".leaflet-control-scale-line").split()
    return float(number) * (1000 if unit == "km" else 1)


def test_a_line_over_180_degrees_is_shown_where_it_is(page, db, server):
    begin = datetime.now(timezone.utc) - timedelta(minutes=20)
    insert(db, "ferry", over_180_degrees(begin))
    insert(db, "boat", [(-179.9, -16.75, begin + timedelta(seconds=10 * n)) for n in range(60)])
    process_all(db)
    assert db.value("SELECT count(*) FROM cached_polylines WHERE device_id = 'ferry'") > 1
    open_day(page, server, "ferry")
    has_lines(page, "unmapped")
    page.keep("over-180-degrees")
    assert "11.9 km" in page.texts("#figures dd")
    assert scale_of(page) < 5000
    lines = page.pixels("lines", "unmapped")
    assert 300 < lines["width"] < 1280 and lines["height"] < 20
    page.click("#back")  # the fleet, of both sides
    page.until(lambda: page.text("#count").startswith("2 devices") and scale_of(page) < 5000, "both sides at once")
    has_lines(page, "unmapped")


def test_a_day_without_a_drive_is_shown_where_the_vehicle_stood(page, db, server):
    insert(db, "van", [(24.94, 60.17, recent_window() + timedelta(seconds=10 * n)) for n in range(60)])
    process_all(db)
    open_day(page, server, "van")
    page.until(lambda: scale_of(page) < 1000, "the map to go there")
    assert page.pixels("marks", "stop")["count"] > 0 or page.pixels("lines", "stop")["count"] > 0
