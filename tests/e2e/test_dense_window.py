"""A device that reports several times a second: more points in a window than one request may hold."""

from drives import drive, insert, process_all, recent_window


def test_twelve_hundred_points_in_one_window_make_one_continuous_path(db, osrm):
    fixes = drive(osrm, recent_window(), seconds=299, interval=0.25)
    assert len(fixes) > 1000
    insert(db, "racer", fixes)
    process_all(db)
    batch = db.row("SELECT status, coordinate_count, error_code FROM processing_batches")
    assert batch == {"status": "completed", "coordinate_count": len(fixes), "error_code": None}
    path = db.row("SELECT start_time, end_time, match_status FROM cached_polylines")
    assert path["match_status"] == "matched"
    assert path["start_time"] == fixes[0][2]
    assert (fixes[-1][2] - path["end_time"]).total_seconds() < 1
