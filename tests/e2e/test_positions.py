"""Where devices are, and what their receivers said: what the map shows beside the pages; and the map page as a text."""

from datetime import timedelta

import psycopg2
import pytest
from drives import drive, insert, process_all, recent_window
from test_adoption import make_markers

ASK = "SELECT device_id, standing, longitude, latitude FROM get_device_positions(%s)"


def test_a_device_is_where_its_last_path_or_stop_ended(db, osrm):
    start = recent_window(60)
    way = drive(osrm, start, seconds=300)
    insert(db, "bus", way)
    stands = [(*way[-1][:2], start + timedelta(seconds=300 + 10 * n)) for n in range(60)]
    insert(db, "taxi", [*way, *stands])
    insert(db, "parked", stands)
    process_all(db)
    end = db.rows("SELECT longitude, latitude FROM get_path_points('bus', '-infinity', 'infinity')")[-1]
    found = {device: (standing, *place) for device, standing, *place in db.rows(ASK, (None,))}
    assert found["bus"] == (False, *end)
    assert {device: standing for device, (standing, *_) in found.items()} == {"bus": False, "parked": True, "taxi": True}
    assert [device for device, *_ in db.rows(ASK, (["taxi", "nobody", "taxi"],))] == ["taxi"]


def test_a_device_whose_paths_were_imported_has_a_place(db):
    db.rows("INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)"
            " VALUES ('old', '2024-05-04 08:00Z', '2024-05-04 08:05Z', encode_polyline('{24.93,24.95}', '{60.16,60.17}'), 2)")
    assert db.rows(ASK, (None,)) == [("old", False, 24.95, 60.17)]


def test_all_devices_are_where_each_of_them_is(db):
    """With clocks that are ahead, lines that nobody can read, and vehicles that have only stood or only driven."""
    db.rows("""INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)
               SELECT 'car-' || n, at, at + interval '5 min', CASE WHEN n % 7 = 0 THEN '~~~' ELSE '_p~iF~ps|U_ulLnnqC' END, 2
                 FROM generate_series(1, 120) n, unnest(ARRAY[now() - interval '1 day', now() - interval '1 h']) at WHERE n % 5 > 0;
               INSERT INTO stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count)
               SELECT 'car-' || n, at, at + interval '5 min', 24 + n * 0.001, 60, 9
                 FROM generate_series(1, 120) n, unnest(ARRAY[now() - interval '2 h', now() - interval '9 min']) at WHERE n % 3 = 0;
               INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)
               SELECT 'car-' || n, now() + interval '1 day', now() + interval '2 days', '_p~iF~ps|U_ulLnnqC', 2
                 FROM generate_series(1, 140, 11) n;
               INSERT INTO stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count)
               SELECT 'car-' || n, now() + interval '1 day', now() + interval '2 days', 24, 60, 9 FROM generate_series(1, 160, 13) n""")
    everywhere = db.rows("SELECT * FROM get_device_positions()")
    assert everywhere == db.rows("SELECT * FROM get_device_positions((SELECT array_agg('car-' || n) FROM generate_series(1, 200) n))")
    assert len(everywhere) == 120 - 120 // 5 + 120 // 15 - sum(n % 7 == 0 and n % 5 > 0 and n % 3 > 0 for n in range(1, 121))
    assert max(at for _, at, *_ in everywhere) < db.value("SELECT now()")


def test_fixes_come_from_all_sources_as_they_came_in(db, osrm):
    start = recent_window()
    way = drive(osrm, start, seconds=100)
    insert(db, "bus", way[::2])
    make_markers(db)
    db.rows("SELECT * FROM adopt_source('markers')")
    for longitude, latitude, moment in way[1::2]:
        db.rows("INSERT INTO markers (username, coords, created_at) VALUES ('bus', ARRAY[%s, %s], %s)", (longitude, latitude, moment))
    ask = "SELECT longitude, latitude, \"time\" FROM get_device_fixes('bus', %s, %s)"
    before = db.rows(ask, (start, start + timedelta(seconds=100)))
    process_all(db)
    assert db.rows(ask, (start, start + timedelta(seconds=100))) == before == list(way)
    assert db.rows(ask, (start + timedelta(seconds=10), start + timedelta(seconds=20))) == list(way[2:4])
    assert db.rows("SELECT * FROM get_device_fixes(NULL, %s, now())", (start,)) == []


@pytest.mark.parametrize("conforming", ["on", "off"])
def test_the_page_of_a_device_holds_its_name_as_data(db, conforming):
    db.rows(f"SET standard_conforming_strings = {conforming}; SET escape_string_warning = off")
    name = "</script><b>"
    page = db.value("SELECT get_map_page(%s, options => %s)", (name, '{"tiles": "<"}'))
    assert name not in page
    assert page.replace("\\u003c", "<").count(name) == 2  # its own, and that in the document of its day
    assert page.count("</script>") == db.value("SELECT get_map_page()").count("</script>")


def test_a_page_that_was_not_built_is_an_error_with_a_hint(db):
    db.rows("CREATE OR REPLACE FUNCTION _map_file() RETURNS text LANGUAGE sql STABLE RETURN '/nowhere/map.html'")
    with pytest.raises(psycopg2.errors.UndefinedFile) as told:
        db.rows("SELECT get_map_page()")
    assert 'there is no file "/nowhere/map.html"' in told.value.diag.message_primary
    assert "libjs-leaflet" in told.value.diag.message_hint
