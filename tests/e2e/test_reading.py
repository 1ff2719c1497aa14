"""What an application reads: paths as rows, pages as JSON, GeoJSON, points, changes, notifications."""

import json
import select
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest
from drives import drive, insert, process_all, recent_window
from optional import need


@pytest.fixture
def driven(db, osrm):
    """Two devices that drove for ten minutes half an hour ago, all of it matched."""
    for seed, device in enumerate(("bus", "van"), start=1):
        insert(db, device, drive(osrm, recent_window(), seconds=600, seed=seed))
    process_all(db)
    return db


def now():
    return datetime.now(timezone.utc)


def test_paths_of_a_device_come_oldest_first_and_cover_the_drive(driven):
    rows = driven.rows("SELECT start_time, end_time, match_status FROM get_device_paths('bus')")
    assert rows == sorted(rows)
    assert rows[0][0] < recent_window() + timedelta(seconds=30)
    assert rows[-1][1] > recent_window() + timedelta(seconds=540)
    assert {row[2] for row in rows} == {"matched"}


def test_a_range_gives_every_path_that_reaches_into_it_and_no_other(driven):
    everything = driven.rows("SELECT * FROM get_device_paths('bus', '-infinity', 'infinity')")
    assert len(everything) >= 2
    first, second = everything[0], everything[1]
    middle = second[1] + (second[2] - second[1]) / 2
    got = driven.rows("SELECT * FROM get_device_paths('bus', %s, %s)", (middle, middle + timedelta(seconds=1)))
    assert got == [second]
    assert driven.rows("SELECT * FROM get_device_paths('bus', %s, %s)",
                       (first[1] - timedelta(hours=1), first[1])) == []


def test_a_range_that_is_empty_or_reversed_holds_nothing(driven):
    start, end = driven.rows("SELECT start_time, end_time FROM get_device_paths('bus')")[0]
    driven.rows("INSERT INTO stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count)"
                " VALUES ('bus', %s, %s, 24.94, 60.17, 5)", (start, end))
    middle, second = start + (end - start) / 2, timedelta(seconds=1)
    for reader in ("get_device_paths", "get_device_stops", "get_path_points"):
        ask = f"SELECT * FROM {reader}('bus', %s, %s)"
        assert driven.rows(ask, (middle, middle + second)) != [], reader
        for bounds in ((middle, middle), (middle + second, middle - second)):
            assert driven.rows(ask, bounds) == [], reader


def test_hours_bound_what_is_read(driven):
    assert driven.rows("SELECT * FROM get_device_paths('bus', 0.1)") == []
    assert driven.rows("SELECT * FROM get_device_paths('bus', NULL::numeric)") == []


def test_several_devices_and_all_devices(driven):
    ask = "SELECT DISTINCT device_id FROM get_paths_between(%s, now() - interval '2 h', now()) ORDER BY 1"
    assert driven.rows(ask, (["bus", "bus", "nobody"],)) == [("bus",)]
    assert driven.rows(ask, (None,)) == [("bus",), ("van",)]
    assert driven.rows(ask, ([],)) == []
    assert driven.rows("SELECT DISTINCT device_id FROM get_fleet_paths(2) ORDER BY 1") == [("bus",), ("van",)]
    assert driven.rows("SELECT device_id FROM get_devices()") == [("bus",), ("van",)]


def test_the_page_holds_the_same_lines_as_the_rows(driven):
    page = driven.value("SELECT get_device_page('bus')")
    assert page["device"] == "bus"
    assert page["cached"] is True
    assert page["processing_delay_ms"] == 0
    lines = driven.rows("SELECT encoded_polyline FROM get_device_paths('bus')")
    assert [path["encoded_polyline"] for path in page["paths"]] == [line for (line,) in lines]
    assert set(page["paths"][0]) == {"start_time", "end_time", "encoded_polyline", "osrm_confidence",
                                     "point_count", "match_status", "grade", "reason"}


def test_the_page_of_a_device_that_nobody_knows(db):
    page = db.value("SELECT get_device_page('nobody')")
    assert page == {"device": "nobody", "paths": [], "cached": True, "processing_delay_ms": 0}


def test_the_fleet_page_has_every_device(driven):
    page = driven.value("SELECT get_fleet_page(2)")
    assert [entry["device"] for entry in page["devices"]] == ["bus", "van"]
    assert page["devices"][0]["paths"] == driven.value("SELECT get_device_page('bus', 2)")["paths"]


def test_the_tail_begins_where_the_last_path_ended(db, osrm):
    fixes = drive(osrm, now() - timedelta(minutes=5), seconds=280)
    insert(db, "bus", fixes[:40])
    process_all(db)
    insert(db, "bus", fixes[40:])
    without = db.value("SELECT get_device_page('bus')")
    assert without["cached"] is True
    assert all(path["match_status"] != "tail" for path in without["paths"])
    oldest_ms = (now() - fixes[40][2]).total_seconds() * 1000
    assert abs(without["processing_delay_ms"] - oldest_ms) < 5000

    page = db.value("SELECT get_device_page('bus', tail => true)")
    tail = page["paths"][-1]
    assert page["cached"] is False
    assert (tail["match_status"], tail["grade"], tail["osrm_confidence"]) == ("tail", "tail", None)
    ends = "SELECT longitude, latitude FROM decode_polyline(%s) ORDER BY ordinal {} LIMIT 1"
    assert (db.rows(ends.format("ASC"), (tail["encoded_polyline"],))
            == db.rows(ends.format("DESC"), (page["paths"][-2]["encoded_polyline"],)))
    assert tail["point_count"] == len(fixes) - 40 + 1
    process_all(db)
    assert db.rows("SELECT * FROM get_device_tail('bus')") == []


def test_a_tail_does_not_bridge_a_long_silence(db, osrm):
    fixes = drive(osrm, now() - timedelta(minutes=20), seconds=1100)
    insert(db, "bus", fixes[:20] + fixes[140:])
    lines = db.rows("SELECT start_time, end_time FROM get_device_tail('bus')")
    assert len(lines) == 2
    assert lines[1][0] - lines[0][1] > timedelta(minutes=5)


def test_geojson_is_what_the_rows_say(driven):
    collection = driven.value("SELECT get_device_geojson('bus')")
    rows = driven.rows("SELECT encoded_polyline, match_status FROM get_device_paths('bus')")
    assert collection["type"] == "FeatureCollection"
    assert len(collection["features"]) == len(rows)
    for feature, (line, status) in zip(collection["features"], rows):
        assert feature["type"] == "Feature"
        assert feature["geometry"]["type"] == "LineString"
        points = driven.rows("SELECT longitude, latitude FROM decode_polyline(%s) ORDER BY ordinal", (line,))
        assert [tuple(place) for place in feature["geometry"]["coordinates"]] == points
        assert feature["properties"]["match_status"] == status
    fleet = driven.value("SELECT get_paths_geojson(NULL, now() - interval '2 h', now())")
    assert {f["properties"]["device"] for f in fleet["features"]} == {"bus", "van"}


def test_geometry_where_postgis_is_installed(driven):
    need("postgis")
    driven.rows("CREATE EXTENSION postgis")
    rows = driven.rows("""
        SELECT ST_NPoints(line), point_count, ST_SRID(line),
               ST_AsGeoJSON(line, 5)::json -> 'coordinates'
          FROM (SELECT ST_LineFromEncodedPolyline(encoded_polyline, 5) AS line, point_count
                  FROM get_device_paths('bus')) AS paths""")
    features = driven.value("SELECT get_device_geojson('bus')")["features"]
    assert [(count, srid) for count, _, srid, _ in rows] == [(n, 4326) for _, n, _, _ in rows]
    assert [row[3] for row in rows] == [f["geometry"]["coordinates"] for f in features]


def test_points_along_a_path_have_times_in_order(driven):
    rows = driven.rows("""SELECT "time", longitude, latitude, path_start
                            FROM get_path_points('bus', now() - interval '2 h', now())""")
    times = [row[0] for row in rows]
    assert times == sorted(times)
    first, last = driven.rows("SELECT min(start_time), max(end_time) FROM get_device_paths('bus')")[0]
    assert abs(times[0] - first) < timedelta(milliseconds=1)
    assert abs(times[-1] - last) < timedelta(milliseconds=1)
    assert len(rows) == driven.value("SELECT sum(point_count) FROM get_device_paths('bus')")


def test_changes_tell_each_window_that_was_done_again(driven, osrm):
    assert driven.value("SELECT count(DISTINCT window_start) FROM get_changes(now() - interval '1 min', '{bus}')") >= 2
    # The search begins two minutes early: make what is there older than that.
    driven.rows("UPDATE processing_batches SET processing_completed_at = now() - interval '10 min'")
    since = driven.value("SELECT get_page_changes(now() - interval '5 min')")
    assert since["windows"] == []
    late = drive(osrm, recent_window(), seconds=600, seed=1)[5]
    insert(driven, "bus", [(late[0], late[1], late[2] + timedelta(seconds=2))])
    process_all(driven)
    changes = driven.value("SELECT get_page_changes(%s)", (since["since"],))
    assert {entry["device"] for entry in changes["windows"]} == {"bus"}
    window = changes["windows"][0]
    held = driven.rows("""SELECT encoded_polyline FROM get_device_paths('bus', %s, %s)
                           WHERE start_time >= %s""",
                       (window["start_time"], window["end_time"], window["start_time"]))
    assert [path["encoded_polyline"] for path in window["paths"]] == [line for (line,) in held]


def test_a_notification_names_each_device_with_new_paths_once(db, osrm):
    with closing(db.connect()) as listener:
        listener.cursor().execute("LISTEN osrm_matcher_paths")
        insert(db, "quiet", drive(osrm, recent_window(), seconds=300))
        process_all(db)
        db.set("osrm_matcher.notify", "on")
        insert(db, "bus", drive(osrm, recent_window(), seconds=600))
        process_all(db)
        select.select([listener], [], [], 5)
        listener.poll()
        assert [(note.channel, note.payload) for note in listener.notifies] == [("osrm_matcher_paths", "bus")]


def test_stops_that_touch_are_one(db):
    db.rows("""
        INSERT INTO stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count) VALUES
            ('bus', '2026-05-01 10:01Z', '2026-05-01 10:05Z', 24.94, 60.17, 10),
            ('bus', '2026-05-01 10:05Z', '2026-05-01 10:10Z', 24.94, 60.17, 30),
            ('bus', '2026-05-01 10:20Z', '2026-05-01 10:25Z', 24.95, 60.18, 10)""")
    rows = db.rows("""SELECT start_time, end_time, source_coordinates_count
                        FROM get_device_stops('bus', '2026-05-01 10:06Z', '2026-05-01 11:00Z')""")
    day = datetime(2026, 5, 1, 10, tzinfo=timezone.utc)
    assert rows == [(day + timedelta(minutes=1), day + timedelta(minutes=10), 40),
                    (day + timedelta(minutes=20), day + timedelta(minutes=25), 10)]


STOP = """INSERT INTO stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count)
          SELECT 'van', t, t + interval '5 min', 24.94, 60.17, 5
            FROM generate_series(%s::timestamptz, %s::timestamptz - interval '5 min', '5 min') t"""


def test_a_drive_from_a_place_back_to_it_parts_two_stops(db):
    db.rows(STOP, ("2026-05-01 10:00Z", "2026-05-01 10:20Z"))
    db.rows(STOP, ("2026-05-01 10:24Z", "2026-05-01 10:39Z"))
    ask = "SELECT start_time, end_time FROM get_device_stops('van', '2026-05-01', '2026-05-02')"
    begin = datetime(2026, 5, 1, 10, tzinfo=timezone.utc)
    assert db.rows(ask) == [(begin, begin + timedelta(minutes=39))]
    db.rows("""INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)
               VALUES ('van', '2026-05-01 10:20Z', '2026-05-01 10:24Z', encode_polyline('{24.94,24.95,24.94}', '{60.17,60.18,60.17}'), 3)""")
    assert db.rows(ask) == [(begin, begin + timedelta(minutes=20)), (begin + timedelta(minutes=24), begin + timedelta(minutes=39))]


def test_a_stop_is_as_long_as_it_was_whatever_range_it_reaches_into(db):
    db.rows(STOP, ("2026-05-01 17:00Z", "2026-05-04 07:00Z"))
    db.rows(STOP, ("2026-05-04 08:30Z", "2026-05-04 09:00Z"))
    ask = "SELECT start_time, end_time FROM get_device_stops('van', %s, %s)"
    weekend = (datetime(2026, 5, 1, 17, tzinfo=timezone.utc), datetime(2026, 5, 4, 7, tzinfo=timezone.utc))
    for bounds in [("2026-05-01 16:00Z", "2026-05-01 18:00Z"), ("2026-05-03 10:00Z", "2026-05-03 10:01Z"),
                   ("2026-05-04 06:59Z", "2026-05-04 07:30Z"), ("-infinity", "2026-05-04 08:29Z")]:
        assert db.rows(ask, bounds) == [weekend], bounds
    assert len(db.rows(ask, ("-infinity", "infinity"))) == 2
    assert db.rows(ask, ("2026-05-04 07:01Z", "2026-05-04 08:29Z")) == []
    # No range looks further than a month beyond its ends.
    db.rows(STOP, ("2026-05-05 00:00Z", "2026-07-05 00:00Z"))
    assert db.rows(ask, ("2026-06-30 00:00Z", "2026-07-01 00:00Z")) == [
        (datetime(2026, 5, 30, tzinfo=timezone.utc), datetime(2026, 7, 5, tzinfo=timezone.utc))]


def test_no_search_path_leads_a_reader_astray(driven):
    """Operators, functions and tables of the caller's own, in front of all others, are not used."""
    with closing(driven.connect()) as session:
        cursor = session.cursor()
        cursor.execute("""
            CREATE SCHEMA trap;
            CREATE FUNCTION trap.never(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT 1 / 0 = 1';
            CREATE OPERATOR trap.= (FUNCTION = trap.never, LEFTARG = text, RIGHTARG = text);
            CREATE FUNCTION trap.now() RETURNS timestamptz LANGUAGE sql AS $$SELECT '1999-01-01'::timestamptz$$;
            CREATE TABLE trap.cached_polylines (LIKE public.cached_polylines);
            CREATE TABLE trap.gps_coordinates (LIKE public.gps_coordinates);
            SET search_path = trap, pg_catalog, public""")
        cursor.execute("SELECT count(*) FROM public.get_device_paths('bus')")
        assert cursor.fetchone()[0] > 0
        for call in ("get_device_page('bus', tail => true)", "get_fleet_page(2)", "get_device_geojson('bus')",
                     "get_page_changes('epoch')", "worker_status()", "get_device_distance('bus', '-infinity', 'infinity')",
                     "get_distances('{bus}', '-infinity', 'infinity')",
                     "get_device_trips('bus', '-infinity', 'infinity')"):
            cursor.execute(f"SELECT public.{call}::text")
            assert cursor.fetchone()[0], call
        cursor.execute("SELECT public.get_device_page('bus')::text")
        assert json.loads(cursor.fetchone()[0])["paths"]


def test_text_in_a_page_is_escaped_as_json_demands(db):
    for device in ['"', "\\", "a\nb\tc\x01\x1f", "ü–漢字🚌", "'; --", "%s", "\x7f", "</script>"]:
        page = db.value("SELECT get_device_page(%s)", (device,))
        assert page["device"] == device
    # Every character that a polyline may have.
    line = "".join(chr(code) for code in range(63, 127))
    db.rows("""INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, osrm_confidence, point_count)
               VALUES ('bus', now() - interval '1.5 s', now(), %s, 'NaN', 2)""", (line,))
    page = db.value("SELECT get_device_page('bus')")
    assert page["paths"][0]["encoded_polyline"] == line
    assert page["paths"][0]["osrm_confidence"] is None
    assert page["paths"][0]["start_time"].endswith("+00:00")


def test_a_clock_that_is_ahead_misses_no_change(db, osrm):
    """An application's clock may be ahead of the database's, and what it asks with stands until the next change."""
    ask = "SELECT get_page_changes(%s)"
    assert db.value(ask, (None,)) == {"since": None, "windows": []}
    since = db.value(ask, (now() + timedelta(hours=1),))["since"]
    assert abs(datetime.fromisoformat(since) - now()) < timedelta(seconds=10)
    for number in range(3):
        insert(db, f"bus-{number}", drive(osrm, recent_window(), seconds=100, seed=number))
        process_all(db)
    told = {window["device"] for window in db.value(ask, (now() + timedelta(hours=1),))["windows"]}
    assert told == {"bus-0", "bus-1", "bus-2"}
    assert {device for device, *_ in db.rows("SELECT * FROM get_changes('infinity')")} == told


def test_geojson_over_180_degrees_is_in_two_pieces(db):
    db.rows("""INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)
               VALUES ('ferry', '2024-05-04 08:00Z', '2024-05-04 08:05Z',
                       encode_polyline('{179.9,-179.9}', '{-16,-17}'), 2)""")
    (feature,) = db.value("SELECT get_paths_geojson('{ferry}', '2024-05-04', '2024-05-05')")["features"]
    assert feature["geometry"] == {"type": "MultiLineString", "coordinates": [
        [[179.9, -16], [180, -16.5]], [[-180, -16.5], [-179.9, -17]]]}
