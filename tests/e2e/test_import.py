"""An older cache is taken over without getting in the way of what the worker does itself."""

from datetime import datetime, timedelta, timezone

import psycopg2
import pytest
from drives import drive, insert, process_all, recent_window

CACHE = "CREATE TABLE matched_paths (device_id text, start_time timestamptz, end_time timestamptz, encoded_polyline text, score float8)"
GOOD, SIX = "encode_polyline('{24.9,24.91}', '{60.1,60.11}')", "encode_polyline('{24.9,24.91}', '{60.1,60.11}', 6)"
READS_OF_ALL = ["get_device_positions()", "get_paths_geojson(NULL, '-infinity', 'infinity')", "get_fleet_page(1000000)",
                "get_distances(NULL, '-infinity', 'infinity')", "device_days",
                "get_device_trips('odd', '-infinity', 'infinity')", "get_device_tail('odd')", "storage_advice()"]
OVERLAPS = """SELECT count(*) FROM cached_polylines a JOIN cached_polylines b USING (device_id)
               WHERE a.id < b.id AND a.start_time < b.end_time AND b.start_time < a.end_time"""


def test_lines_over_windows_that_the_worker_has_or_is_about_to_have_are_left_out(db, osrm):
    now = datetime.now(timezone.utc)
    # A provisional line may lie a few seconds over the settled one before it.
    db.set("osrm_matcher.settle_delay", "0")
    insert(db, "car", drive(osrm, recent_window(60), 300))
    process_all(db)
    db.rows("DELETE FROM cached_polylines")
    insert(db, "live", drive(osrm, now - timedelta(minutes=10), 300))
    insert(db, "old", drive(osrm, now - timedelta(days=30), 300))
    db.rows(CACHE)
    for device, end in (("car", recent_window(60) + timedelta(minutes=2)), ("live", now - timedelta(minutes=7)),
                        ("old", now - timedelta(days=30) + timedelta(minutes=3)), ("quiet", now - timedelta(hours=3))):
        db.rows("INSERT INTO matched_paths VALUES (%s, %s, %s, encode_polyline('{24.9,24.91}', '{60.1,60.11}'))",
                (device, end - timedelta(minutes=20), end))
    assert db.rows("SELECT * FROM import_matched_paths()") == [(2, 2, 0)]
    assert db.rows("SELECT device_id FROM cached_polylines ORDER BY 1") == [("old",), ("quiet",)]
    db.rows("CALL process_pending(20)")
    assert db.value(OVERLAPS) == 0


@pytest.mark.parametrize("precision, line", [
    (5, SIX),  # of another precision: ten times as far north
    (5, "'~~~~~~@~~~~~~@~~~~~~@~~~~~~@'"), (6, "'~~~~~~@~~~~~~@~~~~~~@~~~~~~@'"), (6, "'_p~iF~ps|U_ulLnnq'")])
def test_a_line_that_cannot_be_decoded_is_refused_and_no_other(db, precision, line):
    good = GOOD if precision == 5 else SIX
    db.rows(CACHE)
    db.rows(f"INSERT INTO matched_paths VALUES ('a', '2024-05-04 08:00Z', '2024-05-04 08:05Z', {good}),"
            f" ('odd', '2024-05-04 08:00Z', '2024-05-04 08:05Z', {line}), ('z', '2024-05-04 08:00Z', '2024-05-04 08:05Z', {good})")
    assert db.rows("SELECT * FROM import_matched_paths(\"precision\" => %s)", (precision,)) == [(2, 0, 1)]
    assert db.rows(f"SELECT device_id, encoded_polyline = {GOOD} FROM cached_polylines ORDER BY 1") == [("a", True), ("z", True)]


@pytest.mark.parametrize("line", [SIX, "'!'", "''", "'~'"])
def test_a_line_that_somebody_has_broken_keeps_no_reader_from_the_others(db, line):
    db.rows(f"""INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)
                VALUES ('bus', '2024-05-04 08:00Z', '2024-05-04 08:05Z', {GOOD}, 2),
                       ('odd', '2024-05-04 08:00Z', '2024-05-04 08:05Z', {line}, 2),
                       ('odd', '2024-05-04 08:05Z', '2024-05-04 08:10Z', {line}, 2),
                       ('odd', '2024-05-04 08:10Z', '2024-05-04 08:15Z', {GOOD}, 2)""")
    for call in READS_OF_ALL:
        assert db.rows(f"SELECT * FROM {call}") != [] or "tail" in call
    metres = {device: distance for device, distance in db.rows("SELECT device_id, distance_m FROM device_days")}
    assert metres["bus"] == metres["odd"] > 1000
    assert db.value("SELECT encoded_polylines FROM get_device_trips('odd', '-infinity', 'infinity')") == [db.value(f"SELECT {GOOD}")]
    collection = db.value("SELECT get_paths_geojson('{odd}', '-infinity', 'infinity')")
    assert [len(feature["geometry"]["coordinates"]) for feature in collection["features"]] == [0, 0, 2]


def test_a_confidence_that_is_no_number_is_none(db):
    db.rows(CACHE)
    db.rows(f"""INSERT INTO matched_paths SELECT 'car', '2024-05-04 08:00Z'::timestamptz + n * interval '5 min',
                       '2024-05-04 08:05Z'::timestamptz + n * interval '5 min', {GOOD}, score
                  FROM unnest('{{NaN,7,0.5,-1}}'::float8[]) WITH ORDINALITY AS s (score, n)""")
    assert db.rows("SELECT * FROM import_matched_paths(confidence_column => 'score')") == [(4, 0, 0)]
    assert db.rows("SELECT osrm_confidence FROM cached_polylines ORDER BY start_time") == [(None,), (1,), (0.5,), (0,)]


def test_without_a_precision_nothing_is_imported(db):
    db.rows(CACHE)
    with pytest.raises(psycopg2.errors.InvalidParameterValue, match="precision is null, and must be 5 or 6"):
        db.rows("SELECT * FROM import_matched_paths(\"precision\" => NULL)")


def test_of_lines_of_one_cache_that_overlap_the_first_is_taken(db):
    db.rows(CACHE)
    for device, begin, end in [("car", "10:00", "10:20"), ("car", "10:05", "10:10"), ("car", "10:18", "10:30"),
                               ("car", "10:20", "10:25"), ("car", "10:20", "10:22"), ("van", "10:05", "10:10")]:
        db.rows(f"INSERT INTO matched_paths VALUES (%s, %s, %s, {GOOD})", (device, f"2024-05-04 {begin}Z", f"2024-05-04 {end}Z"))
    assert db.rows("SELECT * FROM import_matched_paths()") == [(3, 3, 0)]
    assert db.value(OVERLAPS) == 0
    assert db.rows("SELECT device_id, start_time::text, end_time::text FROM cached_polylines ORDER BY 1, 2") == [
        ("car", "2024-05-04 10:00:00+00", "2024-05-04 10:20:00+00"), ("car", "2024-05-04 10:20:00+00", "2024-05-04 10:25:00+00"),
        ("van", "2024-05-04 10:05:00+00", "2024-05-04 10:10:00+00")]
    assert db.rows("SELECT * FROM import_matched_paths()") == [(0, 6, 0)]
