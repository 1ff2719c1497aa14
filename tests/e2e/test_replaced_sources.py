"""An adopted table whose place another one takes, or that loses what adoption gave it, is told of, with what to do."""

from contextlib import closing

import pytest

from drives import drive, process_all, recent_window
from test_adoption import fill_markers, make_markers

START = recent_window(60)
COPY = """CREATE TABLE made (LIKE markers INCLUDING DEFAULTS); ALTER SEQUENCE markers_id_seq OWNED BY NONE;
          ALTER TABLE made DROP COLUMN processed, DROP COLUMN batch_id; """
REPLACED = {
    "dropped and made anew": (COPY + "DROP TABLE markers; ALTER TABLE made RENAME TO markers", "was dropped"),
    "swapped": (COPY + "ALTER TABLE markers RENAME TO markers_old; ALTER TABLE made RENAME TO markers", "is public.markers_old now"),
    "moved away": (COPY + "CREATE SCHEMA old; ALTER TABLE markers SET SCHEMA old; ALTER TABLE made RENAME TO markers", "is old.markers now"),
    "become a partition": ("""ALTER TABLE markers RENAME TO markers_old; ALTER SEQUENCE markers_id_seq OWNED BY NONE;
        CREATE TABLE markers (LIKE markers_old INCLUDING DEFAULTS) PARTITION BY RANGE (created_at);
        CREATE TABLE markers_new PARTITION OF markers FOR VALUES FROM (now() - interval '1 day') TO ('infinity');
        CREATE TABLE markers_rest PARTITION OF markers DEFAULT""", "is public.markers_old now"),
}
ALERTS = "SELECT severity, problem, message, hint FROM worker_alerts() WHERE problem IN ('source_replaced', 'adoption_undone')"


@pytest.fixture
def adopted(db, osrm):
    make_markers(db)
    db.rows("SELECT * FROM adopt_source('markers')")
    fill_markers(db, "before", drive(osrm, START, 300))
    process_all(db)
    assert db.rows(ALERTS) == []
    return db


@pytest.mark.parametrize("run_between", [False, True])
@pytest.mark.parametrize("how", REPLACED)
def test_a_table_in_the_place_of_an_adopted_one_is_told_of_until_it_is_adopted(adopted, osrm, how, run_between):
    db = adopted
    statements, what_of_the_old = REPLACED[how]
    if run_between and "dropped" in how:
        # A restore takes its time, and runs come each minute.
        made, rest = statements.split("DROP TABLE markers;")
        db.rows(made + "DROP TABLE markers")
        db.rows("CALL process_pending(5)")
        assert db.rows(ALERTS) == []
        db.rows(rest)
    else:
        db.rows(statements)
    fill_markers(db, "after", drive(osrm, START, 300, seed=2))
    db.rows("CALL process_pending(10)")
    ((severity, problem, message, hint),) = db.rows(ALERTS)
    assert (severity, problem) == ("critical", "source_replaced")
    assert message.startswith("table public.markers is not the one that was adopted") and what_of_the_old in message
    assert "adopt_source('public.markers', ...)" in hint
    db.rows("SELECT * FROM adopt_source('markers')")
    process_all(db)
    assert db.rows(ALERTS) == []
    assert db.value("SELECT count(*) FROM get_device_paths('after')") == 1
    assert db.value("SELECT count(*) FROM adopted_sources") == (1 if "dropped" in how else 2)


def test_the_hint_ends_it_where_the_new_table_is_none_of_points(adopted):
    db = adopted
    db.rows("DROP TABLE markers; CREATE TABLE markers (colour text)")
    db.rows("CALL process_pending(5)")
    ((_, _, _, hint),) = db.rows(ALERTS)
    db.rows(hint[hint.index("SELECT release_source"):].split(",")[0])
    assert db.rows(ALERTS) == [] and db.value("SELECT count(*) FROM adopted_sources") == 0


@pytest.mark.parametrize("change", [
    "ALTER TABLE markers RENAME TO positions", "CREATE SCHEMA fleet; ALTER TABLE markers SET SCHEMA fleet",
    "ALTER TABLE markers RENAME TO positions; CREATE VIEW markers AS SELECT * FROM positions",
    "CLUSTER markers USING markers_osrm_device_time", "CREATE TEMP TABLE markers (a integer)"])
def test_a_table_that_is_the_same_by_another_name_is_no_worry(adopted, change):
    adopted.rows(change)
    adopted.rows("CALL process_pending(5)")
    assert adopted.rows(ALERTS) == []


@pytest.mark.parametrize("index", ["markers_osrm_unprocessed", "markers_osrm_waiting", "markers_osrm_device_time"])
def test_an_index_that_was_dropped_is_told_of_and_the_hint_makes_it_again(adopted, index):
    db = adopted
    db.rows(f"DROP INDEX {index}")
    ((severity, problem, message, hint),) = db.rows(ALERTS)
    assert (severity, problem) == ("warning", "adoption_undone") and index in message
    db.rows(hint)
    assert db.rows(ALERTS) == []
    assert db.value("SELECT release_source('markers')")
    assert db.value("SELECT to_regclass(%s)", (index,)) is None


def test_an_index_of_a_partitioned_table_is_made_again_too(db):
    db.rows("""CREATE TABLE markers (username text, coords float8[], created_at timestamptz) PARTITION BY HASH (username);
               CREATE TABLE markers_1 PARTITION OF markers FOR VALUES WITH (MODULUS 1, REMAINDER 0);
               SELECT adopt_source('markers')""")
    assert db.rows(ALERTS) == []
    db.rows("DROP INDEX markers_osrm_waiting")
    ((*_, hint),) = db.rows(ALERTS)
    db.rows(hint)
    assert db.rows(ALERTS) == []


@pytest.mark.parametrize("partitioned", [False, True])
@pytest.mark.parametrize("index", ["gps_coordinates_unprocessed", "gps_coordinates_waiting"])
def test_an_index_of_our_own_table_is_told_of_too(db, index, partitioned):
    """As a migration drops it whose model of the table does not have it."""
    missing = "SELECT message, hint FROM worker_alerts() WHERE problem = 'index_missing'"
    if partitioned:
        db.rows("SELECT partition_points()")
    definition = "SELECT replace(pg_get_indexdef(%s::regclass), 'ON ONLY', 'ON')"
    before = db.value(definition, (index,))
    assert db.rows(missing) == []
    db.rows(f"DROP INDEX {index}")
    ((message, hint),) = db.rows(missing)
    assert index in message
    db.rows(hint)
    assert db.rows(missing) == [] and db.value(definition, (index,)) == before


def test_points_that_say_nothing_of_being_processed_are_told_of(adopted, osrm):
    db = adopted
    db.rows("ALTER TABLE markers ALTER processed DROP NOT NULL, ALTER processed DROP DEFAULT")
    fill_markers(db, "after", drive(osrm, START, 300, seed=2))
    ((severity, problem, message, hint),) = db.rows(ALERTS)
    assert (severity, problem) == ("warning", "adoption_undone") and "null" in message
    db.rows(hint)
    assert db.rows(ALERTS) == []
    process_all(db)
    assert db.value("SELECT count(*) FROM get_device_paths('after')") == 1


def test_a_table_that_was_replaced_before_a_dump_is_known_after_it(adopted, fresh_database):
    db = adopted
    db.rows(REPLACED["swapped"][0])
    db.rows("CALL process_pending(5)")
    dump = db.cluster.run("pg_dump", "-d", db.name).stdout
    with fresh_database("template1") as other:
        other.psql("-q", input=dump)
        with closing(other.connect()):
            assert [row[1] for row in other.rows(ALERTS)] == ["source_replaced"]
