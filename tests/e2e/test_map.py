"""The map page in a real browser, over the real extension: what a person sees of it, and what their hands do."""

from datetime import timedelta

import pytest
from drives import insert, recent_window
from maps import browser, chrome, has_lines, lines_of, open_day, open_fleet, page, server, town  # noqa: F401
from selenium.webdriver.common.keys import Keys


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
    kinds = {"matched": ("good", None), "doubtful": ("doubtful", None), "raw": ("raw", "NoMatch"),
             "unmapped": ("raw", "NoSegment")}
    for number, (grade, reason) in enumerate(kinds.values()):
        db.rows("""
            INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count, grade, reason)
            SELECT 'mixed', %s, %s, encode_polyline('{24.93,24.95}', ARRAY[y, y]), 2, %s, %s
              FROM (VALUES (60.16 + %s * 0.004)) AS v (y)""",
                (begin + timedelta(minutes=number), begin + timedelta(minutes=number + 1), grade, reason, number))
    insert(db, "mixed", [(24.95 - n * 0.002, 60.176, begin + timedelta(minutes=5, seconds=10 * n)) for n in range(8)])
    open_day(page, server, "mixed")
    for kind in (*kinds, "tail"):
        has_lines(page, kind)
        page.click(f"#show-{kind}")
        page.until(lambda: lines_of(page, kind) < 50, f"{kind} lines to be hidden")
        page.click(f"#show-{kind}")
    dashes = page.run("return [...document.querySelectorAll('#kinds path')].map((one) => one.getAttribute('stroke-dasharray'))")
    assert len(set(dashes)) == len(dashes) == 5
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


DOT = ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
       "rkJggg==")


def test_tiles_are_the_ground_and_their_attribution_is_text(page, town):
    open_fleet(page, town, tiles=DOT, attribution="Maps by <b>us</b> and OpenStreetMap")
    page.until(lambda: page.texts(".leaflet-tile-loaded"), "tiles")
    assert page.text(".leaflet-control-attribution") == "Maps by <b>us</b> and OpenStreetMap"
    assert page.find(".leaflet-control-attribution a").get_attribute("href") == "https://www.openstreetmap.org/copyright"


def test_a_ground_that_does_not_come_is_told(chrome, town):
    chrome.look()
    for option, words in (("tiles", "Some of the background map did not come"), ("streets", "The streets did not come: 404")):
        chrome.open(town.address(**{"streets": "", option: f"{town.url}nowhere/{{z}}/{{x}}/{{y}}"}))
        chrome.until(lambda: words in chrome.text("#banner-text"), "the loss to be told")
        has_lines(chrome)
    assert all("404" in line for line in chrome.said())


def test_a_token_is_sent_to_the_server_and_kept_out_of_the_address(page, town):
    watch = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": """
        window.tokens = [];
        window.fetch = ((ask) => (address, options) => {
            if (address.pathname?.startsWith('/rpc/')) window.tokens.push(options.headers.Authorization);
            return ask(address, options);
        })(window.fetch);"""})
    try:
        page.open(f"{town.address('bus-1')}&token=a.b.c")
        has_lines(page)
        assert page.run("return location.hash") == "#device=bus-1"
        assert set(page.run("return window.tokens")) == {"Bearer a.b.c"}
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", watch)


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
    page.until(lambda: "No drive and no stop is known of this day." in page.texts("#figures dd"), "the empty day")
    page.click("#latest")
    page.until(lambda: page.is_shown("#timeline"), "the last 24 hours")


def test_a_day_is_one_of_the_place_where_it_is_looked_at(page, db, server):
    db.rows("INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)"
            " VALUES ('bus', '2024-05-03 22:30Z', '2024-05-03 22:35Z', encode_polyline('{24.93,24.95}', '{60.16,60.17}'), 2)")
    for zone, day, begin in (("Europe/Helsinki", "2024-05-04", "01:30"), ("UTC", "2024-05-03", "22:30")):
        page.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": zone})
        page.open(f"{server.address('bus')}&day={day}")
        has_lines(page)
        assert page.text("#begin") == begin
        assert zone in page.texts("#figures dd")


def test_the_time_to_a_day_is_told(page, town, capsys):
    times = []
    for device in ("bus-1", "bus-2", "taxi-1", "van-1", "courier-1"):
        open_day(page, town, device)
        times.append(page.until(lambda: page.run("return performance.getEntriesByName('lines')[0]?.startTime"), "the lines"))
    with capsys.disabled():
        print(f"\nfirst paint of a device's day: {', '.join(f'{time:.0f}' for time in sorted(times))} ms after its address")
