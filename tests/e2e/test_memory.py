"""A session does not grow with the number of windows that it has matched."""

from contextlib import closing

from drives import drive, insert, recent_window
from harness.outcome import leftovers
from harness.traces import memory_kb, tcp_connections, threads


def test_one_long_call_gives_its_memory_back_as_it_goes(db, osrm):
    insert(db, "car-0", drive(osrm, recent_window(23 * 60, length=60), 1800, interval=30))
    db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
               SELECT 'car-' || d, longitude, latitude, recorded_at + h * interval '30 min'
                 FROM gps_coordinates, generate_series(1, 5) d, generate_series(0, 19) h""")
    with closing(db.connect()) as session:
        pid = session.info.backend_pid
        cursor = session.cursor()
        cursor.execute("SELECT windows_completed FROM process_pending_gps(150)")
        before = memory_kb(pid)
        cursor.execute("SELECT windows_completed FROM process_pending_gps(5000, 120)")
        assert cursor.fetchone()[0] > 400
        # Caches fill up; what a window takes is given back with its round.
        assert memory_kb(pid) - before < 4000
        assert threads(pid) == 1 and tcp_connections(pid) == []
    assert leftovers(db) == {}
