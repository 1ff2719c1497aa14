"""Windows of a day: a device's days are read one after the other, and none is left out."""

from datetime import timedelta

from drives import drive, insert, process_all, recent_window
from harness.outcome import leftovers

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
