"""A table that queries over pg_class do not find: Citus hides its shards so, by a condition in each such query.

Here pg_class is a view, made before the extension, that leaves tables of points and their indexes out.
"""

import pytest
from drives import drive, insert, process_all, recent_window
from test_adoption import fill_markers

HIDE = """
SET allow_system_table_mods = on;
ALTER TABLE pg_catalog.pg_class RENAME TO pg_class_whole;
CREATE VIEW pg_catalog.pg_class AS SELECT * FROM pg_catalog.pg_class_whole WHERE relname NOT LIKE 'markers%';
RESET allow_system_table_mods;
CREATE EXTENSION osrm_matcher;
"""
COLUMNS = "id bigserial, username text, coords double precision[], created_at timestamptz DEFAULT now()"
LINES = "SELECT start_time, end_time, encoded_polyline FROM get_device_paths(%s)"


@pytest.fixture
def hiding(empty_db):
    empty_db.rows(HIDE)
    return empty_db


@pytest.mark.parametrize("made", [
    f"CREATE TABLE markers ({COLUMNS})",
    f"CREATE TABLE markers ({COLUMNS}) PARTITION BY HASH (id);"
    "CREATE TABLE markers_0 PARTITION OF markers FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
    "CREATE TABLE markers_1 PARTITION OF markers FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
], ids=["plain", "partitioned"])
@pytest.mark.parametrize("before", [0, 100_000], ids=["small", "large"])
def test_a_table_that_is_hidden_from_pg_class_is_a_source_as_any_other(hiding, osrm, made, before):
    hiding.rows(made)
    assert hiding.value("SELECT count(*) FROM pg_class WHERE oid = 'markers'::regclass") == 0
    hiding.rows("""INSERT INTO markers (username, coords, created_at)
                   SELECT 'u', '{24.9,60.1}', now() - interval '9 days' FROM generate_series(1, %s)""", (before,))
    for statement, in hiding.rows("SELECT statement FROM adopt_source('markers') WHERE NOT done"):
        hiding.rows(statement)
    hiding.rows("CALL process_pending(5)")
    assert hiding.value("SELECT ready FROM adopted_sources")
    fixes = drive(osrm, recent_window(), 600)
    insert(hiding, "own", fixes)
    fill_markers(hiding, "car", fixes)
    fill_markers(hiding, None, fixes[:3])
    assert hiding.value("SELECT unprocessed_points FROM worker_status()") == 2 * len(fixes) + 3
    process_all(hiding)
    assert hiding.rows(LINES, ("car",)) == hiding.rows(LINES, ("own",)) != []
    assert hiding.value("SELECT count(*) FROM markers WHERE NOT processed AND created_at > now() - interval '1 day'") == 0
    hiding.wait_until(f"SELECT processed_points + unprocessed_points >= {2 * len(fixes) + before} FROM worker_status()")
    assert hiding.value("SELECT release_source('markers')") is True
    assert hiding.value("SELECT count(*) FROM pg_attribute WHERE attrelid = 'markers'::regclass AND attname = 'batch_id'") == 0
