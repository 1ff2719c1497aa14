"""A table of the application becomes a source of points, and becomes again what it was."""

import threading
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone

import psycopg2
import pytest
from drives import drive, insert, paths, process_all, recent_window
from optional import need
from psycopg2.extras import execute_values


def make_markers(db):
    db.rows("""CREATE TABLE markers (id bigserial PRIMARY KEY, username text, coords double precision[],
                                     created_at timestamptz DEFAULT now())""")


def fill_markers(db, device, fixes):
    with closing(db.connect()) as session:
        execute_values(session.cursor(), "INSERT INTO markers (username, coords, created_at) VALUES %s",
                       [(device, [lon, lat], at) for lon, lat, at in fixes], page_size=10_000)


def shape(db, table):
    """Columns, defaults and indexes of a table, as a stranger sees them."""
    columns = db.rows("""SELECT column_name, data_type, column_default, is_nullable
                           FROM information_schema.columns WHERE table_name = %s ORDER BY 1""", (table,))
    return columns, db.rows("SELECT indexdef FROM pg_indexes WHERE tablename = %s ORDER BY 1", (table,))


def test_markers_give_the_same_paths_as_the_table_of_the_extension(db, osrm):
    fixes = drive(osrm, recent_window(), seconds=600)
    insert(db, "own", fixes)
    make_markers(db)
    fill_markers(db, "adopted", fixes)
    db.rows("SELECT * FROM adopt_source('markers')")
    process_all(db)
    lines = "SELECT start_time, end_time, encoded_polyline FROM get_device_paths(%s)"
    assert db.rows(lines, ("adopted",)) == db.rows(lines, ("own",)) != []
    assert db.value("SELECT bool_and(processed AND batch_id IS NOT NULL) FROM markers")


@pytest.mark.parametrize("columns, values, adopt", [
    ("dev integer, t timestamp, lat numeric, lon numeric, acc real, heading numeric, speed real",
     "SELECT 7, %(at)s AT TIME ZONE 'Europe/Helsinki', %(lat)s, %(lon)s, 5, 1e300, -1",
     "device_column => 'dev', time_column => 't', longitude_column => 'lon', latitude_column => 'lat', "
     "accuracy_column => 'acc', time_zone => 'Europe/Helsinki', course_column => 'heading', speed_column => 'speed'"),
    ("dev varchar(10), t bigint, c numeric[]",
     "SELECT '7', extract(epoch FROM %(at)s) * 1000, ARRAY[%(lat)s, %(lon)s]",
     "device_column => 'dev', time_column => 't', coordinates_column => 'c', time_unit => 'ms', "
     "coordinate_order => 'latlon'"),
    ("dev char(10), t double precision, c point",
     "SELECT '7', extract(epoch FROM %(at)s), point(%(lon)s, %(lat)s)",
     "device_column => 'dev', time_column => 't', coordinates_column => 'c', time_unit => 's'"),
    ("dev bigint, t timestamptz, c geometry(Point, 4326)",
     "SELECT 7, %(at)s, ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4326)",
     "device_column => 'dev', time_column => 't', coordinates_column => 'c'"),
    ("dev text, t timestamptz, c geography",
     "SELECT '7', %(at)s, ST_SetSRID(ST_MakePoint(%(lon)s, %(lat)s), 4326)::geography",
     "device_column => 'dev', time_column => 't', coordinates_column => 'c'"),
], ids=["columns", "milliseconds", "point", "geometry", "geography"])
def test_other_shapes_of_tables(db, osrm, columns, values, adopt):
    if "geo" in columns:
        need("postgis")
        db.rows("CREATE EXTENSION postgis")
    # A device of the extension's own table whose name is no value of the adopted column's type.
    insert(db, "not a number", drive(osrm, recent_window(), seconds=120))
    fixes = [(*(round(v, 6) for v in fix[:2]), fix[2]) for fix in drive(osrm, recent_window(), seconds=600)]
    insert(db, "own", fixes)
    db.rows(f"CREATE TABLE places (key serial PRIMARY KEY, {columns})")
    for lon, lat, at in fixes:
        db.rows(f"INSERT INTO places ({', '.join(c.split()[0] for c in columns.replace('(Point, 4326)', '').split(', '))}) {values}",
                {"lon": lon, "lat": lat, "at": at})
    db.rows(f"SELECT * FROM adopt_source('places', {adopt})")
    process_all(db)
    assert db.value("SELECT count(*) FROM places WHERE NOT processed") == 0
    lines = "SELECT start_time, end_time, length(encoded_polyline) > 20 FROM get_device_paths(%s)"
    if "acc" not in columns:
        lines = "SELECT start_time, end_time, encoded_polyline FROM get_device_paths(%s)"
    assert db.rows(lines, ("7",)) == db.rows(lines, ("own",)) != []


@pytest.mark.parametrize("kind, unit, factor", [
    ("double precision", "s", 1), ("double precision", "ms", 1000), ("numeric", "s", 1), ("numeric", "us", 10**6)])
def test_times_with_more_digits_than_a_moment_has(db, kind, unit, factor):
    db.rows(f"CREATE TABLE places (dev text, t {kind}, lon float8, lat float8)")
    db.rows("""SELECT * FROM adopt_source('places', device_column => 'dev', time_column => 't', time_unit => %s,
                                          longitude_column => 'lon', latitude_column => 'lat')""", (unit,))
    # Points alone in their windows: each is the first and the last one that a search finds.
    db.rows(f"""INSERT INTO places
                SELECT d::text, (extract(epoch FROM date_trunc('hour', now())) - w * 600 + d * 0.1234567891) * {factor}, 24.94, 60.17
                  FROM generate_series(1, 20) AS d, generate_series(1, 3) AS w""")
    process_all(db)
    assert db.value("SELECT count(*) FROM places WHERE NOT processed") == 0
    assert db.value("SELECT sum(coordinate_count) FROM processing_batches") == 60


def test_blanks_at_the_end_of_a_name_are_of_another_device(db, osrm):
    fixes = drive(osrm, recent_window(), seconds=120)
    db.rows("CREATE TABLE places (dev char(8), t timestamptz, lon float8, lat float8)")
    db.rows("""SELECT * FROM adopt_source('places', device_column => 'dev', time_column => 't',
                                          longitude_column => 'lon', latitude_column => 'lat')""")
    for lon, lat, at in fixes[::2]:
        db.rows("INSERT INTO places VALUES ('abc', %s, %s, %s)", (at, lon, lat))
    insert(db, "abc  ", fixes)
    process_all(db)
    assert dict(db.rows("SELECT device_id, sum(coordinate_count) FROM processing_batches GROUP BY 1")) == {
        "abc": len(fixes[::2]), "abc  ": len(fixes)}


def test_names_that_look_like_marks_of_our_statements(db, osrm):
    fixes = drive(osrm, recent_window(), seconds=600)
    insert(db, "own", fixes)
    db.rows("""CREATE TABLE "a {device}" ("{time}" text, "{time_expression}" timestamptz, "{latitude}" float8[])""")
    for lon, lat, at in fixes:
        db.rows("""INSERT INTO "a {device}" VALUES ('odd', %s, %s)""", (at, [lon, lat]))
    db.rows("""SELECT * FROM adopt_source('"a {device}"', device_column => '{time}',
                                          time_column => '{time_expression}', coordinates_column => '{latitude}')""")
    process_all(db)
    lines = "SELECT start_time, end_time, encoded_polyline FROM get_device_paths(%s)"
    assert db.rows(lines, ("odd",)) == db.rows(lines, ("own",)) != []


def test_a_page_shows_the_newest_points_of_an_adopted_table(db, osrm):
    make_markers(db)
    db.rows("SELECT * FROM adopt_source('markers')")
    fixes = drive(osrm, datetime.now(timezone.utc) - timedelta(minutes=2), seconds=100)
    fill_markers(db, "car", fixes)
    page = db.value("SELECT get_device_page('car', tail => true)")
    assert [path["match_status"] for path in page["paths"]] == ["tail"]
    assert page["paths"][0]["point_count"] == len(fixes)
    assert page["processing_delay_ms"] > 100_000
    assert db.value("SELECT unprocessed_points FROM worker_status()") == len(fixes)


def test_a_dry_run_says_what_it_would_do_and_does_nothing(db):
    make_markers(db)
    before = shape(db, "markers")
    steps = db.rows("SELECT statement, done FROM adopt_source('markers', dry_run => true)")
    assert [done for _, done in steps] == [False] * 5
    assert shape(db, "markers") == before
    for statement, _ in steps:
        db.rows(statement)


def test_release_leaves_the_table_as_it_was_and_the_paths_where_they_are(db, osrm):
    make_markers(db)
    before = shape(db, "markers")
    fill_markers(db, "car", drive(osrm, recent_window(), seconds=600))
    db.rows("SELECT * FROM adopt_source('markers')")
    process_all(db)
    lines = paths(db)
    assert db.value("SELECT release_source('markers')") is True
    assert shape(db, "markers") == before
    assert paths(db) == lines != []
    assert db.value("SELECT release_source('markers')") is False
    db.rows("SELECT * FROM adopt_source('markers')")


def test_release_leaves_what_the_table_had_before_its_adoption(db, osrm):
    db.rows("""CREATE TABLE markers (username text, coords float8[], created_at timestamptz,
                                     processed boolean NOT NULL DEFAULT false, batch_id uuid);
               CREATE INDEX markers_osrm_device_time ON markers (username, created_at);
               CREATE INDEX markers_osrm_waiting ON markers (username)""")
    before = shape(db, "markers")
    fill_markers(db, "car", drive(osrm, recent_window(), seconds=300))
    statements = [statement for statement, in db.rows("SELECT statement FROM adopt_source('markers')") if statement]
    assert [statement.split()[2] for statement in statements] == ["markers_osrm_unprocessed", "markers_2_osrm_waiting"]
    process_all(db)
    values = db.rows("SELECT * FROM markers ORDER BY created_at")
    assert all(processed and batch for *_, processed, batch in values)
    with closing(db.connect()) as session, closing(session.cursor()) as cursor:
        cursor.execute("SELECT release_source('markers')")
        assert 'the columns "processed" and "batch_id" of table public.markers stay' in session.notices[-1]
    assert shape(db, "markers") == before
    assert db.rows("SELECT * FROM markers ORDER BY created_at") == values


def test_what_adoption_added_is_known_after_a_dump(db, fresh_database):
    make_markers(db)
    before = shape(db, "markers")
    db.rows("SELECT * FROM adopt_source('markers')")
    with fresh_database("template1") as restored:
        restored.psql("-q", input=db.cluster.run("pg_dump", "-d", db.name).stdout)
        assert restored.value("SELECT release_source('markers')") is True
        assert shape(restored, "markers") == before


def test_release_says_what_uses_what_adoption_added(db):
    make_markers(db)
    db.rows("SELECT * FROM adopt_source('markers'); CREATE VIEW shown AS SELECT * FROM markers")
    db.rows("CREATE TABLE others (LIKE markers INCLUDING DEFAULTS); SELECT * FROM adopt_source('others')")
    with pytest.raises(psycopg2.errors.DependentObjectsStillExist) as refusal:
        db.rows("SELECT release_source('markers')")
    assert refusal.value.diag.message_primary.startswith("table public.markers cannot be released")
    assert "view public.shown" in refusal.value.diag.message_detail
    (what, done), (_, other) = db.rows("SELECT * FROM release_all()")[2:]
    assert (done, other) == (False, True)
    assert what.startswith("table public.markers stays adopted: ") and "view public.shown" in what
    assert db.rows("SELECT relation::text FROM adopted_sources") == [("markers",)]
    db.rows("DROP VIEW shown")
    assert db.value("SELECT release_source('markers')") is True


def test_rows_without_usable_coordinates_are_set_aside_and_counted(db):
    make_markers(db)
    at = recent_window()
    bad = [None, [], [24.9], [24.9, 60.1, 3.0], [[24.9, 60.1]], [float("nan"), 60.1], [999.0, 60.1],
           [24.9, float("inf")], [None, 60.1]]
    with closing(db.connect()) as session:
        for number, coords in enumerate(bad):
            session.cursor().execute("INSERT INTO markers (username, coords, created_at) VALUES ('car', %s::float8[], %s)",
                                     (coords, at + timedelta(seconds=number)))
    db.rows("""INSERT INTO markers (username, coords, created_at) VALUES
                   (NULL, '{24.9,60.1}', now()), ('car', '{24.9,60.1}', NULL), ('car', '{24.9,60.1}', 'infinity'),
                   ('car', '{24.9,60.1}', '-infinity'), (NULL, NULL, NULL)""")
    count = db.value("SELECT count(*) FROM markers")
    db.rows("SELECT * FROM adopt_source('markers')")
    process_all(db)
    assert db.value("SELECT count(*) FROM markers WHERE processed") == count
    assert db.value("SELECT sum(rejected) FROM worker_runs") == count
    assert db.rows("SELECT * FROM get_device_paths('car', '-infinity', 'infinity')") == []


def test_history_older_than_the_look_back_is_left_alone(db, osrm):
    make_markers(db)
    fill_markers(db, "old", drive(osrm, recent_window() - timedelta(days=10), seconds=300))
    fill_markers(db, "new", drive(osrm, recent_window(), seconds=300))
    db.rows("SELECT * FROM adopt_source('markers')")
    process_all(db)
    assert db.rows("SELECT DISTINCT username FROM markers WHERE NOT processed") == [("old",)]
    assert db.value("SELECT unprocessed_points FROM worker_status()") == 0


def test_adoption_of_a_large_table_holds_up_no_writer(db, osrm):
    """300,000 rows, a writer that never stops, and the statements that adoption leaves to be run."""
    make_markers(db)
    db.rows("""INSERT INTO markers (username, coords, created_at)
               SELECT 'u' || i % 100, '{24.9,60.1}', now() - interval '2 days' - i * interval '1 s'
                 FROM generate_series(1, 300000) i""")
    rewritten = db.value("SELECT pg_relation_filenode('markers')")
    longest, stop = 0.0, threading.Event()

    def write():
        nonlocal longest
        with closing(db.connect()) as session:
            while not stop.is_set():
                begin = time.monotonic()
                session.cursor().execute("INSERT INTO markers (username, coords) VALUES ('live', '{24.94,60.17}')")
                longest = max(longest, time.monotonic() - begin)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        steps = db.rows("SELECT statement, done FROM adopt_source('markers')")
        assert [done for _, done in steps] == [True, True, False, False, False]
        process_all(db)
        assert db.value("SELECT count(*) FROM markers WHERE processed") == 0
        for statement, done in steps:
            if not done:
                assert "CONCURRENTLY" in statement
                db.rows(statement)
    finally:
        stop.set()
        writer.join()
    assert longest < 0.5
    assert db.value("SELECT pg_relation_filenode('markers')") == rewritten
    db.rows("CALL process_pending(10)")  # finds the indexes ready; the next run reads the table
    process_all(db)
    assert db.value("SELECT count(*) FROM markers WHERE username = 'live' AND NOT processed") == 0
    assert db.value("SELECT count(*) FROM markers WHERE username <> 'live' AND processed") == 0


def test_adoption_gives_up_rather_than_queue_behind_a_long_transaction(db):
    make_markers(db)
    with closing(db.connect(autocommit=False)) as reader:
        reader.cursor().execute("SELECT count(*) FROM markers")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            db.rows("SELECT * FROM adopt_source('markers')")
    db.rows("SELECT * FROM adopt_source('markers')")


@pytest.mark.parametrize("table, call, state", [
    ("x (id int PRIMARY KEY, name text, t timestamptz, c float8[])", "'x'", "42703"),
    ("x (id int PRIMARY KEY, username text, created_at date, coords float8[])", "'x'", "42804"),
    ("x (id int PRIMARY KEY, username text, created_at timestamptz, coords text)", "'x'", "42804"),
    ("x (id int PRIMARY KEY, username json, created_at timestamptz, coords float8[])", "'x'", "42804"),
    ("x (id int PRIMARY KEY, username text, created_at bigint, coords float8[])", "'x'", "22023"),
    ("x (id int PRIMARY KEY, username text, created_at timestamptz, coords float8[], processed int)", "'x'", "42701"),
    ("x (id int PRIMARY KEY, username text, created_at timestamptz, coords float8[])", "'x', coordinate_order => 'xy'", "22023"),
    *(("x (username text, created_at timestamp, coords float8[])", f"'x', {name} => NULL", "22023")
      for name in ("device_column", "time_column", "coordinates_column", "coordinate_order", "time_zone", "dry_run")),
    ("x (username text)", "NULL", "22023"),
    ("x (id int PRIMARY KEY, username text, created_at timestamptz, coords float8[])", "'gps_coordinates'", "42809"),
    ("x (id int PRIMARY KEY, username text, created_at timestamptz, coords float8[])", "'pg_views'", "42809"),
])
def test_what_cannot_be_adopted_is_refused_with_a_reason(db, table, call, state):
    db.rows(f"CREATE TABLE {table}")
    before = shape(db, "x")
    with pytest.raises(psycopg2.Error) as refusal:
        db.rows(f"SELECT * FROM adopt_source({call})")
    assert refusal.value.pgcode == state
    assert shape(db, "x") == before
    assert db.value("SELECT count(*) FROM adopted_sources") == 0


def test_an_extension_that_was_dropped_leaves_tables_that_can_be_adopted_again(db, osrm):
    make_markers(db)
    before = shape(db, "markers")
    fill_markers(db, "car", drive(osrm, recent_window(), seconds=300))
    db.rows("SELECT * FROM adopt_source('markers')")
    adopted = shape(db, "markers")
    db.rows("DROP EXTENSION osrm_matcher")
    assert shape(db, "markers") == adopted
    db.rows("CREATE EXTENSION osrm_matcher")
    assert {statement for statement, in db.rows("SELECT statement FROM adopt_source('markers')")} == {None}
    assert shape(db, "markers") == adopted
    process_all(db)
    assert db.value("SELECT count(*) FROM markers WHERE NOT processed") == 0
    db.rows("SELECT release_source('markers')")
    assert shape(db, "markers") == before


def test_tables_with_long_names_that_begin_alike_have_indexes_of_their_own(db):
    names = ["a_table_with_a_very_long_name_that_goes_on_january", "a_table_with_a_very_long_name_that_goes_on_february",
             "ä" * 31, "ä" * 30 + "a"]
    before = {}
    for name in names:
        db.rows(f'CREATE TABLE "{name}" (username text, coords float8[], created_at timestamptz)')
        before[name] = shape(db, name)
        db.rows("SELECT * FROM adopt_source(%s)", (f'"{name}"',))
    adopted = {name: shape(db, name) for name in names}
    for name in names:
        assert len(adopted[name][1]) == 3
        assert db.value("SELECT release_source(%s)", (f'"{name}"',)) is True
        assert shape(db, name) == before[name]
        for other in names[names.index(name) + 1:]:
            assert shape(db, other) == adopted[other]


def test_a_collation_that_takes_texts_for_equal_is_refused(db):
    # From 16 on, one is listed by that name in any case.
    if not db.value("SELECT count(*) FROM pg_collation WHERE collprovider = 'i' AND collname <> 'unicode'"):
        pytest.skip("this PostgreSQL has no ICU")
    db.rows("""CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
               CREATE TABLE x (username text COLLATE blind, created_at timestamptz, coords float8[])""")
    with pytest.raises(psycopg2.errors.CollationMismatch) as refusal:
        db.rows("SELECT * FROM adopt_source('x')")
    assert "deterministic" in refusal.value.diag.message_hint


def test_a_writer_that_names_its_columns_goes_on_as_before(db):
    make_markers(db)
    db.rows("SELECT * FROM adopt_source('markers')")
    db.psql("-c", "COPY markers (username, coords, created_at) FROM STDIN", input="car\t{24.9,60.1}\t2024-05-04 08:00Z\n")
    db.rows("CREATE TABLE archive (LIKE markers); ALTER TABLE archive DROP processed, DROP batch_id")
    db.rows("INSERT INTO archive SELECT id, username, coords, created_at FROM markers")
    db.rows("INSERT INTO markers SELECT * FROM archive ON CONFLICT DO NOTHING")
    assert db.value("SELECT count(*) FROM archive") == db.value("SELECT count(*) FROM markers") == 1


def test_a_device_id_that_no_index_holds_is_refused_after_adoption(db):
    make_markers(db)
    db.rows("SELECT * FROM adopt_source('markers')")
    name = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 100) n)"
    with pytest.raises(psycopg2.errors.ProgramLimitExceeded):
        db.rows(f"INSERT INTO markers (username, coords) VALUES ({name}, '{{24.9,60.1}}')")


def test_more_tables_than_there_is_room_for_their_locks_are_warned_of(osrm, new_cluster):
    markers = "CREATE TABLE %s (username text, coords float8[], created_at timestamptz)"
    room = {"max_connections": 20, "max_locks_per_transaction": 10}
    with (new_cluster("locks", osrm.url, **room) as cluster, closing(cluster.connect()) as session, closing(session.cursor()) as cursor):
        cursor.execute(f"CREATE EXTENSION osrm_matcher; {markers % 'one'}; {markers % 'other'}; {markers % 'many'} PARTITION BY RANGE (created_at)")
        for year in range(2001, 2019):
            cursor.execute(f"CREATE TABLE many_{year} PARTITION OF many FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')")
        for call in "'many'", "'one'", "'other', dry_run => true":
            cursor.execute(f"SELECT * FROM adopt_source({call})")
        assert session.notices == []
        cursor.execute("SELECT * FROM adopt_source('other')")
        (warning,) = session.notices
    assert "all adopted tables, which are 21 with their partitions, takes some 105 locks, more than half of the 200" in warning
    assert "ALTER SYSTEM SET max_locks_per_transaction = 21;" in warning
