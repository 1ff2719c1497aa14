"""A device that reports several times a second, and a role whose statements may take but a second."""

from contextlib import closing

import psycopg2
from drives import drive, insert, recent_window, waiting


def test_a_day_of_a_device_that_takes_longer_than_a_statement_may_holds_up_nobody(db, osrm):
    db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
               SELECT 'dense', 24.9384 + n % 7 * 2e-6, 60.1699, now() - interval '20 h' + n * interval '100 ms'
                 FROM generate_series(1, 500000) n""")
    insert(db, "live", drive(osrm, recent_window(), seconds=100))
    left = [waiting(db)]

    def shown():
        return db.rows("SELECT match_status FROM get_device_paths('live')") == [("matched",)]

    # On a machine that is busy a second may be over before the first commit.
    for _ in range(40):
        with closing(db.connect()) as session:
            session.cursor().execute("SET statement_timeout = '1s'")
            try:
                session.cursor().execute("CALL process_pending()")
            except psycopg2.errors.QueryCanceled:
                pass
        left.append(waiting(db))
        if shown() and len(set(left)) >= 4:
            break
    assert shown()
    assert left == sorted(left, reverse=True) and len(set(left)) >= 4, left
