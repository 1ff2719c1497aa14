"""Windows of a day are read one after the other; what a line costs does not go with the length of windows."""

from datetime import timedelta

from drives import drive, insert, process_all, recent_window
from harness.outcome import leftovers
from scratch import forget_all

DAYS = 4


def test_each_day_of_a_device_gets_its_turn(db, osrm):
    db.set("osrm_matcher.window", "1d")
    db.set("osrm_matcher.look_back", "10d")
    for day in range(DAYS):
        for device in "car", "van":
            insert(db, device, drive(osrm, recent_window(60, length=60) - timedelta(days=day), 600, interval=10, seed=day))
    assert db.value("SELECT windows_completed FROM process_pending_gps(max_windows => 2)") == 2
    assert db.rows("SELECT DISTINCT device_id FROM processing_batches ORDER BY 1") == [("car",), ("van",)]
    process_all(db)
    assert leftovers(db) == {}
    assert db.value("SELECT count(DISTINCT start_time) FROM processing_batches WHERE status = 'completed'") >= DAYS


def test_a_line_costs_osrm_the_same_whatever_the_length_of_windows(db, osrm):
    """Three hours of a device, which several threads work off: no slot is matched by two of them."""
    start = recent_window(4 * 60, length=60)
    for hour in range(3):
        insert(db, "car", drive(osrm, start + timedelta(hours=hour), 3420, interval=10, seed=hour))
    calls = {}
    for window in "1min", "5min", "1h":
        db.set("osrm_matcher.window", window)
        forget_all(db)
        calls[window] = db.value("SELECT osrm_calls FROM process_pending_gps(10000, 120)")
        assert leftovers(db) == {}
    assert max(calls.values()) < 1.1 * min(calls.values())


def test_a_backlog_of_two_hours_of_many_devices_is_matched_once(db, osrm):
    start = recent_window(3 * 60, length=60)
    insert(db, "car", [*drive(osrm, start, 3420, interval=30), *drive(osrm, start + timedelta(hours=1), 3420, interval=30, seed=2)])
    db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
               SELECT 'car-' || d, longitude, latitude, recorded_at FROM gps_coordinates, generate_series(1, 49) d""")
    windows = db.value("SELECT windows_completed FROM process_pending_gps(10000, 120)")
    assert windows == db.value("SELECT count(*) FROM processing_batches") > 1000
    assert leftovers(db) == {}
