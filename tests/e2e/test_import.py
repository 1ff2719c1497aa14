"""An older cache is taken over without getting in the way of what the worker does itself."""

from datetime import datetime, timedelta, timezone

from drives import drive, insert, process_all, recent_window

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
    db.rows("CREATE TABLE matched_paths (device_id text, start_time timestamptz, end_time timestamptz, encoded_polyline text)")
    for device, end in (("car", recent_window(60) + timedelta(minutes=2)), ("live", now - timedelta(minutes=7)),
                        ("old", now - timedelta(days=30) + timedelta(minutes=3)), ("quiet", now - timedelta(hours=3))):
        db.rows("INSERT INTO matched_paths VALUES (%s, %s, %s, encode_polyline('{24.9,24.91}', '{60.1,60.11}'))",
                (device, end - timedelta(minutes=20), end))
    assert db.rows("SELECT * FROM import_matched_paths()") == [(2, 2, 0)]
    assert db.rows("SELECT device_id FROM cached_polylines ORDER BY 1") == [("old",), ("quiet",)]
    db.rows("CALL process_pending(20)")
    assert db.value(OVERLAPS) == 0
