"""No room left for a table: the run ends with PostgreSQL's own error, and the next one, once there is
room, completes everything."""

import os
import subprocess

import psycopg2
import pytest

from drives import drive, insert, paths, process_all, recent_window, waiting
from harness import env
from harness.outcome import leftovers, locked_devices
from harness.process import as_user
from harness.traces import threads
from scratch import forget_all

WAL_SEGMENT = 16 << 20  # a smaller limit would hit the log, which is another fault


def limit_files(pid, size):
    """Lets no file that this process writes grow beyond a size; as its own user: even root may not."""
    subprocess.run(["prlimit", "--pid", str(pid), f"--fsize={size}:"], check=True, **as_user(env.cluster_user()))


def test_a_table_that_cannot_grow(own_db, osrm):
    insert(own_db, "car", drive(osrm, recent_window(60), 600, interval=1))
    process_all(own_db)
    expected = paths(own_db)
    forget_all(own_db)
    # A table larger than the limit may be read and written, not extended: as on a full disk.
    own_db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at, processed)
                   SELECT 'old', 24.9, 60.1, now() - interval '90 days' - n * interval '1 s', true
                     FROM generate_series(1, 200000) n""")
    own_db.rows("VACUUM FULL gps_coordinates")
    full = own_db.value("SELECT pg_relation_size('gps_coordinates')")
    assert full > WAL_SEGMENT

    worker = own_db.connect()
    pid = worker.info.backend_pid
    limit_files(pid, full)
    for _ in range(2):
        with pytest.raises(psycopg2.Error) as caught:
            worker.cursor().execute("SELECT * FROM process_pending_gps()")
        assert caught.value.pgcode in ("53100", "58030") or "could not extend file" in str(caught.value)
        assert threads(pid) == 1
        assert waiting(own_db) == 600
        assert own_db.value("SELECT count(*) FROM cached_polylines") == 0
        assert locked_devices(own_db) == 0
    limit_files(pid, "unlimited")
    worker.cursor().execute("SELECT * FROM process_pending_gps()")
    worker.close()
    own_db.rows("DELETE FROM gps_coordinates WHERE device_id = 'old'")
    assert leftovers(own_db) == {}
    assert paths(own_db) == expected
    assert os.path.exists(f"/proc/{own_db.cluster.process.pid}")
