"""Columns that somebody adds to the extension's tables are in nobody's way."""

import pytest
from drives import drive, insert, process_all, recent_window, waiting
from test_roles import READS, WATCHES, WORKS

OLD = "CREATE TABLE matched_paths (device_id text, start_time timestamptz, end_time timestamptz, encoded_polyline text)"
# To what is known of adopted tables PostgreSQL adds none.
TABLES = """SELECT c.oid::regclass::text FROM pg_class c
              JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
             WHERE c.relkind = 'r' AND c.relname <> 'adopted_sources' ORDER BY 1"""


@pytest.fixture
def widened(db, osrm):
    """A database with lines, whose tables have each got two columns more, under names that others may have, too."""
    insert(db, "bus", drive(osrm, recent_window(), seconds=600))
    db.rows(OLD)
    db.rows("CREATE TABLE markers (id serial PRIMARY KEY, username text, coords float8[], created_at timestamptz)")
    process_all(db)
    tables = [table for (table,) in db.rows(TABLES)]
    assert {"cached_polylines", "stops", "processing_batches", "gps_coordinates", "worker_runs"} < set(tables)
    for table in tables:
        db.rows(f"ALTER TABLE {table} ADD COLUMN tenant integer, ADD COLUMN place text DEFAULT 'depot'")
    return db


def test_what_is_read_stays_as_it_was(widened, osrm):
    for call in [*READS, *WATCHES]:
        widened.rows(f"SELECT * FROM {call}")
    assert widened.value("SELECT count(*) FROM get_device_paths('bus')") >= 2
    assert len(widened.value("SELECT get_device_page('bus')")["paths"]) >= 2
    assert len(widened.value("SELECT get_page_changes(now() - interval '1 h')")["windows"]) >= 2


def test_runs_and_what_an_operator_calls_go_on(widened, osrm):
    insert(widened, "van", drive(osrm, recent_window(), seconds=600, seed=2))
    for call in WORKS:
        widened.rows(f"SELECT * FROM {call}")
    # Batches of another length are cut anew.
    widened.set("osrm_matcher.window", "15min")
    insert(widened, "bus", drive(osrm, recent_window(), seconds=300, interval=7))
    process_all(widened)
    assert widened.value("SELECT count(*) FROM get_device_paths('van')") > 0
    widened.rows("INSERT INTO matched_paths VALUES ('old', '2024-05-04', '2024-05-04 00:05', encode_polyline('{24.9,24.91}', '{60.1,60.11}'))")
    assert widened.rows("SELECT * FROM import_matched_paths()") == [(1, 0, 0)]
    widened.rows("SELECT * FROM adopt_source('markers')")
    widened.rows("SELECT start_rematch(now() - interval '2 h', now())")
    process_all(widened)
    widened.rows("SELECT retry_failed()")
    widened.rows("SELECT partition_points()")
    insert(widened, "tram", drive(osrm, recent_window(), seconds=300, seed=3))
    process_all(widened)
    widened.rows("SELECT * FROM forget_device('van', with_points => true)")
    widened.rows("CALL upkeep()")
    assert waiting(widened) == 0
