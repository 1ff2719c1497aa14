"""A database that was updated from a released version is what a fresh one is."""

import gzip
import re
import threading
from contextlib import closing
from datetime import timedelta

import psycopg2
import pytest
from catalog import catalog, differences
from drives import drive, insert, process_all, recent_window, waiting
from harness import env
from harness.outcome import leftovers
from test_dump_restore import second_db  # noqa: F401
from test_roles import READS, WATCHES, WORKS

RELEASED = sorted((env.ROOT / "tests/upgrade").glob("osrm_matcher--*.sql.gz"))


def version_of(file):
    return re.fullmatch(r"osrm_matcher--(.+)\.sql\.gz", file.name)[1]


@pytest.fixture(params=RELEASED, ids=map(version_of, RELEASED))
def old_db(request, empty_db):
    """A database with the extension as a released version made it."""
    version = version_of(request.param)
    script = env.PG_SHARE / f"extension/osrm_matcher--{version}.sql"
    if not script.exists():
        script.write_bytes(gzip.decompress(request.param.read_bytes()))
    empty_db.rows(f"CREATE EXTENSION osrm_matcher VERSION '{version}'")
    return empty_db


def test_an_update_leaves_what_a_fresh_install_does(old_db, db):
    old_db.rows("ALTER EXTENSION osrm_matcher UPDATE")
    assert differences(catalog(old_db), catalog(db)) == []


def test_points_that_wait_and_adopted_tables_go_through_an_update(old_db, osrm):
    old_db.rows("CREATE TABLE markers (id serial PRIMARY KEY, username text, coords float8[], created_at timestamptz)")
    old_db.rows("SELECT * FROM adopt_source('markers')")
    for lon, lat, at in drive(osrm, recent_window(), seconds=120):
        old_db.rows("INSERT INTO markers (username, coords, created_at) VALUES ('bus', ARRAY[%s, %s], %s)", (lon, lat, at))
    insert(old_db, "car", drive(osrm, recent_window(), seconds=240))
    old_db.rows("ALTER EXTENSION osrm_matcher UPDATE")
    process_all(old_db)
    assert waiting(old_db) == 0
    assert old_db.rows("SELECT DISTINCT device_id FROM cached_polylines ORDER BY device_id") == [("bus",), ("car",)]


@pytest.mark.parametrize("kind", ["bigint", "double precision", "numeric"])
def test_bounds_of_times_that_are_numbers_go_with_no_setting_after_an_update(old_db, kind):
    """As an expression of an index may not: by others, partitions are not told apart when a statement is planned."""
    old_db.rows(f"CREATE TABLE markers (username text, coords float8[], created_at {kind})")
    old_db.rows("SELECT * FROM adopt_source('markers', time_unit => 'ms')")
    old_db.rows("ALTER EXTENSION osrm_matcher UPDATE")
    bound = old_db.value("SELECT bound_expression FROM adopted_sources").replace("$value", "timestamptz '2024-05-04 10:00Z'")
    old_db.rows(f"CREATE INDEX ON markers (({bound}))")
    assert round(old_db.value(f"SELECT {bound}")) == 1_714_816_800_000


def start_job(old_db, **cursor):
    """A backfill as the old version has it on record, for its function needs its own library."""
    old_db.rows("""INSERT INTO matching_jobs (kind, from_time, to_time, cursor_source, cursor_device)
                   VALUES ('backfill', now() - interval '10 days', now() - interval '2 days', %(cursor_source)s,
                           %(cursor_device)s)""", cursor)


def test_a_job_under_way_goes_on_where_it_is(old_db):
    old = recent_window() - timedelta(days=5)
    for table, devices in (("first", ("a",)), ("second", ("b", "c")), ("third", ("d",))):
        old_db.rows(f"CREATE TABLE {table} (username text, coords float8[], created_at timestamptz)")
        old_db.rows("SELECT * FROM adopt_source(%s)", (table,))
        for device in devices:
            old_db.rows(f"INSERT INTO {table} VALUES (%s, '{{24.94, 60.17}}', %s)", (device, old))
    start_job(old_db, cursor_source=2, cursor_device="b")
    old_db.rows("ALTER EXTENSION osrm_matcher UPDATE")
    assert old_db.row("SELECT cursor_source, sources_done::text, cursor_device FROM matching_jobs") == {
        "cursor_source": "second", "sources_done": "{gps_coordinates,first}", "cursor_device": "b"}
    process_all(old_db)
    assert old_db.value("SELECT status FROM get_jobs()") == "done"
    assert old_db.rows("SELECT DISTINCT device_id FROM processing_batches ORDER BY 1") == [("c",), ("d",)]

@pytest.mark.parametrize("made, state, names, undone", [
    ("ALTER TABLE gps_coordinates ADD COLUMN course real, ADD COLUMN vehicle_type text", "42701",
     "gps_coordinates.course, gps_coordinates.vehicle_type",
     "ALTER TABLE gps_coordinates RENAME course TO heading; ALTER TABLE gps_coordinates RENAME vehicle_type TO kind"),
    ("CREATE TABLE osrm_groups (x int)", "42P07", "osrm_groups", "ALTER TABLE osrm_groups RENAME TO osrm_group"),
    ("CREATE FUNCTION _sources(integer) RETURNS int LANGUAGE sql RETURN 1; CREATE FUNCTION get_device_fixes() RETURNS int LANGUAGE sql RETURN 1",
     "42723", "_sources(integer), get_device_fixes()", "DROP FUNCTION _sources(integer); ALTER FUNCTION get_device_fixes() RENAME TO mine"),
    ("CREATE VIEW v AS SELECT * FROM worker_status()", "2BP01", "v", "DROP VIEW v"),
    ("CREATE VIEW v AS SELECT * FROM worker_health", "2BP01", "v", "DROP VIEW v"),
    ("CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM get_changes(now()); END", "2BP01",
     "function f()", "DROP FUNCTION f"),
    ("CREATE TABLE saved (path device_path)", "2BP01", "table saved", "DROP TABLE saved"),
])
def test_what_is_in_the_way_of_an_update_is_named_before_anything_is_changed(old_db, made, state, names, undone):
    old_db.rows(made)
    with pytest.raises(psycopg2.Error) as caught:
        old_db.rows("ALTER EXTENSION osrm_matcher UPDATE")
    assert caught.value.pgcode == state
    assert caught.value.diag.message_primary.endswith(f": {names}")
    assert caught.value.diag.message_hint
    old_db.rows(undone)
    old_db.rows("ALTER EXTENSION osrm_matcher UPDATE")


def test_each_function_of_a_name_of_ours_is_in_the_way_of_an_update_and_of_an_install(old_db, db):
    """Whatever its arguments."""
    make = "CREATE TYPE mine AS ENUM (); " + "; ".join(
        f"CREATE FUNCTION {name}(mine) RETURNS int LANGUAGE sql RETURN 1" for (name,) in db.rows(
            """SELECT DISTINCT p.proname FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                WHERE d.deptype = 'e' AND p.pronamespace = 'public'::regnamespace"""))
    for database, statement in ((old_db, "ALTER EXTENSION osrm_matcher UPDATE"), (db, "CREATE EXTENSION osrm_matcher")):
        if database is db:
            db.rows("DROP EXTENSION osrm_matcher")
        database.rows(make)
        with pytest.raises(psycopg2.Error) as caught:
            database.rows(statement)
        assert caught.value.pgcode == "42723" and caught.value.diag.message_hint
        assert caught.value.diag.message_primary.count("(mine)") == make.count("CREATE FUNCTION")


@pytest.mark.parametrize("made", [
    "DROP INDEX cached_polylines_last_accessed", "DROP INDEX cached_polylines_recent",
    "CREATE VIEW v AS SELECT * FROM get_device_paths('car')", "CREATE VIEW v AS SELECT * FROM cached_polylines",
    "CREATE VIEW v AS SELECT get_device_page('car') AS page", "CREATE VIEW v AS SELECT * FROM processing_batches",
])
def test_an_update_goes_through_where_nothing_is_in_its_way(old_db, made):
    old_db.rows(made)
    old_db.rows("ALTER EXTENSION osrm_matcher UPDATE")
    if "VIEW" in made:
        assert old_db.rows("SELECT * FROM v") in ([], [(old_db.value("SELECT get_device_page('car')"),)])


def test_a_table_adopted_before_it_was_noted_what_was_added_keeps_its_columns(old_db):
    old_db.rows("CREATE TABLE markers (username text, coords float8[], created_at timestamptz); SELECT * FROM adopt_source('markers')")
    old_db.rows("ALTER EXTENSION osrm_matcher UPDATE")
    with closing(old_db.connect()) as session, closing(session.cursor()) as cursor:
        cursor.execute("SELECT release_source('markers')")
        assert "DROP COLUMN processed, DROP COLUMN batch_id" in session.notices[-1]
        assert old_db.rows("SELECT * FROM adopted_sources") == old_db.rows("SELECT FROM pg_indexes WHERE tablename = 'markers'") == []
        cursor.execute(session.notices[-1].partition("If nothing else needs them: ")[2])
    assert old_db.value("SELECT count(*) FROM information_schema.columns WHERE table_name = 'markers'") == 3


def test_until_the_update_calls_say_what_to_do(old_db):
    for call in ("CALL process_pending()", "SELECT * FROM process_pending_gps()", "SELECT make_batches()"):
        with pytest.raises(psycopg2.Error) as caught:
            old_db.rows(call)
        assert caught.value.pgcode == "55000"
        assert caught.value.diag.message_hint.startswith("Do ALTER EXTENSION osrm_matcher UPDATE")


def test_pages_are_read_before_the_update_as_after_it(old_db):
    old_db.rows("""INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)
                   SELECT 'car', now() - n * interval '9 min', now() - n * interval '9 min' + interval '5 min',
                          encode_polyline('{24.94,24.95}', '{60.17,60.18}'), 2 FROM generate_series(1, 3) n""")
    pages = "SELECT get_device_page('car') -> 'paths', get_fleet_page() -> 'devices' -> 0 -> 'paths'"
    (before,) = old_db.rows(pages)
    old_db.rows("ALTER EXTENSION osrm_matcher UPDATE")
    (after,) = old_db.rows(pages)
    assert len(before[0]) == 3 and before[0] == before[1]
    assert before == after


def test_what_was_stored_stays_and_writers_go_on(old_db, osrm):
    start = recent_window(240)
    old_db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at, processed)
                   SELECT 'old', 24.94, 60.17, %s + n * interval '10 s', true FROM generate_series(0, 29) n""", (start,))
    old_db.rows("""INSERT INTO processing_batches (device_id, start_time, end_time, status, coordinate_count,
                                                   processing_completed_at, context_start, context_end)
                   VALUES ('old', %(t)s, %(t)s + interval '5 min', 'completed', 30, now(), %(t)s, %(t)s + interval '6 min');
                   UPDATE gps_coordinates SET batch_id = (SELECT batch_id FROM processing_batches);
                   INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count,
                                                 source_coordinates_count, match_status, grade, batch_id)
                   SELECT 'old', %(t)s, %(t)s + interval '290 s', encode_polyline('{24.94,24.95}', '{60.17,60.18}'), 2, 30,
                          'matched', 'good', batch_id FROM processing_batches""", {"t": start})
    fixes, updated = drive(osrm, recent_window(), seconds=900), threading.Event()

    def write():
        """Writes half of the fixes without regard to the update, the rest in the same session after it."""
        with closing(old_db.connect()) as session, closing(session.cursor()) as cursor:
            for n, fix in enumerate(fixes):
                if n == len(fixes) // 2:
                    updated.wait()
                cursor.execute("INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at) "
                               "VALUES ('car', %s, %s, %s)", fix)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        old_db.wait_until("SELECT count(*) > 31 FROM gps_coordinates")
        old_db.rows("ALTER EXTENSION osrm_matcher UPDATE")
    finally:
        updated.set()
        writer.join()
    process_all(old_db)
    assert leftovers(old_db) == {}
    assert old_db.value("SELECT sum(source_coordinates_count) FROM cached_polylines WHERE device_id = 'car'") == len(fixes)
    assert old_db.value("SELECT count(*) FROM cached_polylines WHERE device_id = 'old'") == 1


@pytest.mark.parametrize("grant, calls", [("reader", READS), ("worker", WORKS), ("monitor", WATCHES)])
def test_roles_may_go_on_with_what_they_were_granted(old_db, grant, calls):
    role = f"{grant}_{old_db.name}"
    old_db.rows(f"CREATE ROLE {role} LOGIN; SELECT grant_{grant}('{role}')")

    def refused(call):
        """Whether it is there, and not for this role."""
        with closing(old_db.connect(user=role)) as session, closing(session.cursor()) as cursor:
            try:
                cursor.execute(f"SELECT * FROM {call}")
            except psycopg2.errors.InsufficientPrivilege:
                return True
            except psycopg2.Error:
                pass
        return False

    known = old_db.rows("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
    granted = [call for call in calls if (call.partition("(")[0],) in known and not refused(call)]
    assert granted
    with closing(old_db.connect()) as session, closing(session.cursor()) as cursor:
        cursor.execute("ALTER EXTENSION osrm_matcher UPDATE")
        (told,) = [notice for notice in session.notices if "roles lack what is new" in notice]
        cursor.execute(told.partition("until you run: ")[2])
    lost = [call for call in granted if refused(call)]
    old_db.rows(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert lost == []


def test_there_is_no_way_down(db):
    with pytest.raises(Exception, match="no update path"):
        db.rows("ALTER EXTENSION osrm_matcher UPDATE TO '0.0.1'")


@pytest.mark.parametrize("change", [
    "COMMENT ON FUNCTION osrm_health IS 'another'",
    "ALTER FUNCTION process_pending_gps PARALLEL SAFE",
    "GRANT SELECT ON cached_polylines TO PUBLIC",
    "ALTER TABLE gps_coordinates ALTER COLUMN processed SET DEFAULT true",
    "ALTER TABLE gps_coordinates ADD COLUMN more integer",
    "COMMENT ON COLUMN stops.device_id IS 'another'",
    "ALTER TABLE cached_polylines SET (fillfactor = 50)",
    "CREATE INDEX another ON stops (device_id)",
    "ALTER TABLE stops ADD CHECK (device_id <> 'another')",
    "UPDATE pg_extension SET extcondition[1] = 'WHERE false' WHERE extname = 'osrm_matcher'",
])
def test_no_difference_escapes_the_comparison(db, empty_db, change):
    empty_db.rows("CREATE EXTENSION osrm_matcher")
    fresh = catalog(empty_db)
    assert differences(catalog(db), fresh) == []
    db.rows(change)
    assert differences(catalog(db), fresh) != []


def test_a_dump_of_an_older_version_is_restored(old_db, second_db):
    insert(old_db, "bus", [(24.94, 60.17, recent_window())])
    old_db.rows("""INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count,
                                                 source_coordinates_count, match_status, grade, reason)
                   VALUES ('old', now(), now(), encode_polyline('{24.94,24.95}', '{60.17,60.18}'), 2, 2, 'raw', 'raw', 'NoRoad')""")
    start_job(old_db, cursor_source=1, cursor_device="x")
    second_db.psql("-q", input=old_db.cluster.run("pg_dump", "-d", old_db.name).stdout)
    assert second_db.value("SELECT extversion FROM pg_extension WHERE extname = 'osrm_matcher'") != old_db.value(
        "SELECT extversion FROM pg_extension WHERE extname = 'osrm_matcher'")
    assert waiting(second_db) == 1
    assert second_db.value("SELECT match_status FROM get_device_paths('old', '-infinity', 'infinity')") == "raw"
    process_all(second_db)
    assert second_db.value("SELECT status FROM get_jobs()") == "done"
