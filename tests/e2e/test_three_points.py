"""The integration test that users have today: three points of one device, one a minute."""

from datetime import timedelta

from drives import drive, insert, paths, process_all, recent_window, waiting


def three_points(places):
    start = recent_window()
    return [(*place, start + timedelta(minutes=number)) for number, place in enumerate(places)]


def test_points_with_no_road_near_become_a_raw_path_with_a_reason(db):
    insert(db, "test-device", three_points([(-72.5, 44.2), (-72.501, 44.201), (-72.502, 44.202)]))
    process_all(db)
    batch = db.row("SELECT status, coordinate_count, error_code, retry_count FROM processing_batches")
    assert batch == {"status": "completed", "coordinate_count": 3, "error_code": "NoSegment", "retry_count": 0}
    path = db.row("SELECT device_id, match_status, reason, source_coordinates_count FROM cached_polylines")
    assert path == {"device_id": "test-device", "match_status": "raw", "reason": "NoSegment",
                    "source_coordinates_count": 3}


def test_the_same_points_on_streets_of_helsinki_become_a_matched_path(db, osrm):
    places = [fix[:2] for fix in drive(osrm, recent_window(), seconds=180, interval=60, noise=0)]
    insert(db, "test-device", three_points(places))
    process_all(db)
    path = db.row("SELECT match_status, reason, source_coordinates_count FROM cached_polylines")
    assert path == {"match_status": "matched", "reason": None, "source_coordinates_count": 3}
    assert waiting(db) == 0
    assert db.value("SELECT status FROM processing_batches") == "completed"
    assert len(paths(db)) == 1
