"""The extension's own table of points, partitioned by time."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest
from drives import drive, insert, paths, process_all, recent_window, stops, waiting
from optional import need

START = recent_window(60)
PARTS = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'gps_coordinates'::regclass"
SHAPE = """SELECT a.attname, a.atttypid::regtype::text, a.attnotnull, pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum)
             FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = 'gps_coordinates'::regclass AND a.attnum > 0 ORDER BY a.attnum"""
AROUND = """SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'gps_coordinates'::regclass
            UNION ALL
            SELECT indexrelid::regclass::text, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ')
                   || coalesce(obj_description(indexrelid, 'pg_class'), '')
              FROM pg_index WHERE indrelid = 'gps_coordinates'::regclass ORDER BY 1, 2"""

# A week to come is made anew after this: it is as if upkeep() had not been called for as long.
FORGET_FUTURE = """DO $$ DECLARE part regclass; BEGIN
                       FOR part IN SELECT p.part FROM _point_partitions() p WHERE p.from_time > now() LOOP
                           EXECUTE format('ALTER EXTENSION osrm_matcher DROP TABLE %s', part);
                           EXECUTE format('DROP TABLE %s', part);
                       END LOOP;
                   END $$"""


def old_points(db, device, days):
    """Processed points of a day that is long past."""
    db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at, processed)
               SELECT %s, 24.94, 60.17, date_bin('1 day', now(), 'epoch') - %s * interval '1 day' + n * interval '1 min', true
                 FROM generate_series(0, 9) n""", (device, days))


def test_a_table_that_has_points_is_what_it_was_but_for_its_partitions(db, osrm):
    before = db.rows(SHAPE), db.rows(AROUND)
    role = f"writer_{db.name}"
    db.rows(f"CREATE ROLE {role} LOGIN")
    db.rows("SELECT grant_writer(%s)", (role,))
    insert(db, "car", drive(osrm, START, 300))
    old_points(db, "old", 400)
    rows = db.rows("SELECT * FROM gps_coordinates ORDER BY id")
    made = db.value("SELECT partition_points()")
    assert made > 7 and db.value(PARTS) == made + 1
    assert (db.rows(SHAPE), db.rows(AROUND)) == before
    assert db.rows("SELECT * FROM gps_coordinates ORDER BY id") == rows
    assert db.value("SELECT count(*) FROM gps_coordinates_rest") == 10
    with closing(db.connect(user=role)) as session, closing(session.cursor()) as cursor:
        cursor.execute("INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at) VALUES ('car', 24.9, 60.1, now())")
    assert db.value("SELECT max(id) FROM gps_coordinates") == rows[-1][0] + 1
    assert db.value("SELECT partition_points()") == 0
    db.rows(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_what_an_application_has_added_to_the_table_stays(db):
    role = f"writer_{db.name}"
    db.rows(f"""CREATE ROLE {role} LOGIN;
                CREATE TABLE devices (id text PRIMARY KEY); INSERT INTO devices VALUES ('car');
                ALTER TABLE gps_coordinates ADD COLUMN gone int, ADD COLUMN tenant int NOT NULL DEFAULT 7, ADD COLUMN number serial;
                ALTER TABLE gps_coordinates DROP COLUMN gone, ADD CONSTRAINT known FOREIGN KEY (device_id) REFERENCES devices,
                    ADD CONSTRAINT once UNIQUE (device_id, recorded_at, tenant), ENABLE ROW LEVEL SECURITY;
                CREATE INDEX mine ON gps_coordinates (device_id) WHERE vehicle_type = 'truck';
                COMMENT ON INDEX mine IS 'ours';
                CREATE INDEX gps_coordinates_whole_mine ON gps_coordinates (created_at DESC) INCLUDE (tenant);
                GRANT USAGE ON SEQUENCE gps_coordinates_id_seq, gps_coordinates_number_seq TO {role};
                GRANT INSERT (device_id, longitude, latitude, recorded_at) ON gps_coordinates TO {role}""")
    old_points(db, "car", 3)
    insertion = "INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at) VALUES (%s, 24.9, 60.1, now())"
    settings = """SELECT relrowsecurity, relforcerowsecurity, relowner FROM pg_class WHERE oid = 'gps_coordinates'::regclass"""
    seen = SHAPE, AROUND, settings, "SELECT * FROM gps_coordinates ORDER BY id", """
        SELECT grantee::text, table_name::text, column_name::text, privilege_type::text FROM information_schema.column_privileges
         WHERE table_name = 'gps_coordinates' ORDER BY 1, 2, 3, 4"""
    before = [[row for row in db.rows(query) if "dropped" not in str(row)] for query in seen]
    db.rows("SELECT partition_points()")
    assert [db.rows(query) for query in seen] == before
    with closing(db.connect(user=role)) as session, closing(session.cursor()) as cursor:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"):
            cursor.execute(insertion, ("car",))
        db.rows("ALTER TABLE gps_coordinates DISABLE ROW LEVEL SECURITY")
        cursor.execute(insertion, ("car",))
        with pytest.raises(psycopg2.errors.ForeignKeyViolation):
            cursor.execute(insertion, ("bus",))
    db.rows(FORGET_FUTURE)
    db.rows("CALL upkeep()")
    assert db.value("SELECT max(number) FROM gps_coordinates") > 10
    db.rows(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize("partitioned_before", [False, True])
def test_a_generated_column_is_generated_in_partitions(db, partitioned_before):
    generated = "ALTER TABLE gps_coordinates ADD COLUMN place point GENERATED ALWAYS AS (point(longitude, latitude)) STORED"
    old_points(db, "car", 3)
    for statement in ["SELECT partition_points()", generated][:: 1 if partitioned_before else -1]:
        db.rows(statement)
    db.rows(FORGET_FUTURE)
    db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
               VALUES ('early', 24.94, 60.17, now() + interval '3 days')""")
    db.rows("CALL upkeep()")
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE place ~= point(24.94, 60.17)") == 11
    assert db.value("SELECT count(*) FROM gps_coordinates_rest") == 0


def test_points_in_partitions_give_the_same_paths(db, osrm, database_with_extension):
    fixes = drive(osrm, START, 900)
    db.rows("SELECT partition_points('1 hour')")
    with database_with_extension() as one:
        for database in db, one:
            insert(database, "car", fixes[::2])
            process_all(database)
            insert(database, "car", fixes[1::2])
            process_all(database)
        assert paths(db) == paths(one) != []
        assert stops(db) == stops(one)
    status = db.row("SELECT unprocessed_points, processed_points FROM worker_status()")
    assert status == {"unprocessed_points": 0, "processed_points": len(fixes)}
    assert db.value("SELECT size_bytes FROM storage_advice() WHERE table_name = 'gps_coordinates'") > 100_000
    assert db.value("SELECT points FROM forget_device('car', with_points => true)") == len(fixes)


def test_upkeep_drops_partitions_and_makes_new_ones_and_lines_stay(db, osrm):
    old_points(db, "car", 20)
    old_points(db, "car", 10)
    insert(db, "car", drive(osrm, START, 300))
    process_all(db)
    db.rows("SELECT partition_points()")
    count, lines = db.value(PARTS), paths(db)
    db.rows("CALL upkeep(points_older_than => '15 days')")
    # The tenth to the sixteenth day before today, at least, are whole days that are old enough.
    assert db.value(PARTS) < count
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE recorded_at < now() - interval '15 days'") == 0
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE recorded_at < now() - interval '9 days'") == 10
    assert paths(db) == lines != []
    db.rows(FORGET_FUTURE)
    db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
               VALUES ('early', 24.94, 60.17, now() + interval '3 days')""")
    assert db.value("SELECT count(*) FROM gps_coordinates_rest") == 1
    db.rows("CALL upkeep()")
    assert db.value("SELECT max(to_time) > now() + interval '6 days' FROM _point_partitions()")
    assert db.value("SELECT tableoid::regclass::text FROM gps_coordinates WHERE device_id = 'early'").startswith("gps_coordinates_2")


def test_a_partition_that_cannot_be_dropped_is_told_of_and_all_others_are_and_new_ones_made(db):
    old_points(db, "car", 20)
    db.rows("SELECT partition_points()")
    db.rows(FORGET_FUTURE)
    made = db.value(PARTS)
    first = db.value("SELECT part FROM _point_partitions() LIMIT 1")
    db.rows(f"CREATE VIEW mine AS SELECT * FROM {first}")
    with pytest.raises(psycopg2.Error, match=f"could not drop partition public.{first}: .*view public.mine depends on"):
        db.rows("CALL upkeep(points_older_than => '15 days')")
    assert db.value("SELECT count(*) FROM _point_partitions() WHERE to_time < now() - interval '16 days'") == 1
    assert db.value(PARTS) > made
    db.rows("DROP VIEW mine")
    db.rows("CALL upkeep(points_older_than => '15 days')")
    assert db.value("SELECT count(*) FROM _point_partitions() WHERE to_time < now() - interval '16 days'") == 0


def test_a_partition_stays_as_long_as_another_table_refers_to_its_points(db):
    for days in 20, 21:
        old_points(db, "car", days)
    db.rows("SELECT partition_points()")
    db.rows("""CREATE TABLE notes (device_id text, recorded_at timestamptz, id bigint,
                                   FOREIGN KEY (device_id, recorded_at, id) REFERENCES gps_coordinates);
               INSERT INTO notes SELECT device_id, recorded_at, id FROM gps_coordinates ORDER BY recorded_at LIMIT 1""")
    with pytest.raises(psycopg2.Error, match="could not drop partition .*still referenced from table \"notes\""):
        db.rows("CALL upkeep(points_older_than => '15 days')")
    assert db.value("SELECT count(*) FROM gps_coordinates") == 10
    db.rows("TRUNCATE notes")
    db.rows("CALL upkeep(points_older_than => '15 days')")
    assert db.value("SELECT count(*) FROM gps_coordinates") == 0


def test_partitions_that_cannot_be_made_keep_nothing_from_being_deleted(db):
    db.rows("SELECT partition_points()")
    db.rows(FORGET_FUTURE)
    db.rows("""ALTER EXTENSION osrm_matcher DROP TABLE gps_coordinates_rest; ALTER TABLE gps_coordinates_rest RENAME TO other;
               INSERT INTO stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count)
               VALUES ('car', now() - interval '40 days', now() - interval '40 days', 24.9, 60.1, 2)""")
    with pytest.raises(psycopg2.Error, match="could not make partitions of gps_coordinates ahead: "):
        db.rows("CALL upkeep()")
    assert db.value("SELECT count(*) FROM stops") == 0


@pytest.mark.parametrize("style, zone", [
    ("SQL, DMY", "Asia/Kolkata"), ("Postgres, MDY", "Asia/Shanghai"), ("German", "Europe/Dublin"), ("ISO", "America/New_York")])
def test_partitions_are_days_of_utc_whatever_the_session_shows_times_in(db, style, zone):
    db.rows(f"SET datestyle = '{style}'; SET timezone = '{zone}'")
    old_points(db, "car", 29)
    assert db.value("SELECT partition_points()") >= 36
    db.rows(FORGET_FUTURE)
    db.rows("CALL upkeep()")
    seen = db.value("""SELECT bool_and(to_time - from_time = interval '24 h' AND extract(epoch FROM from_time)::bigint % 86400 = 0)
                         FROM _point_partitions() WHERE from_time IS NOT NULL""")
    db.rows("SET datestyle = 'ISO'; SET timezone = 'UTC'")
    assert seen and db.value("""SELECT bool_and(part::text = to_char(from_time, '"gps_coordinates_"YYYYMMDD_HH24MI'))
                                  FROM _point_partitions() WHERE from_time IS NOT NULL""")


@pytest.mark.parametrize("partitioned_before", [False, True])
def test_a_table_that_has_changed_hands_is_partitioned_by_a_superuser_alone(empty_db, partitioned_before):
    db, boss, heir = empty_db, f"boss_{empty_db.name}", f"heir_{empty_db.name}"
    db.rows(f"CREATE ROLE {boss} SUPERUSER LOGIN; CREATE ROLE {heir} LOGIN; GRANT ALL ON SCHEMA public TO {heir}")
    with closing(db.connect(user=boss)) as session, closing(session.cursor()) as cursor:
        cursor.execute("CREATE EXTENSION osrm_matcher")
        if partitioned_before:
            cursor.execute("SELECT partition_points()")
    db.rows(f"REASSIGN OWNED BY {boss} TO {heir}")
    call = "SELECT partition_points()"
    if partitioned_before:
        db.rows(FORGET_FUTURE)
        call = "CALL upkeep()"
    with closing(db.connect(user=heir)) as session, closing(session.cursor()) as cursor:
        with pytest.raises(psycopg2.Error, match=f'role "{heir}" cannot make partitions'):
            cursor.execute(call)
    db.rows(call)
    assert db.value("SELECT max(to_time) > now() + interval '6 days' FROM _point_partitions()")
    assert db.rows("""SELECT DISTINCT relowner::regrole::text FROM pg_class
                       WHERE relname LIKE 'gps_coordinates%%' AND relkind IN ('r', 'p', 'S')""") == [(heir,)]
    insert(db, "car", [(24.94, 60.17, START)])
    db.rows(f"DROP EXTENSION osrm_matcher; DROP OWNED BY {heir}; DROP OWNED BY {boss}; DROP ROLE {heir}; DROP ROLE {boss}")


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_two_sessions_may_partition_the_table_at_once(db, end):
    """The second has nothing left to do where the first has done it."""
    with closing(db.connect(autocommit=False)) as first, closing(db.connect()) as second, ThreadPoolExecutor(1) as pool:
        first.cursor().execute("SELECT partition_points()")
        cursor = second.cursor()
        call = pool.submit(cursor.execute, "SELECT partition_points()")
        db.wait_until("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        first.cursor().execute(end)
        call.result()
        assert (cursor.fetchone()[0] > 0) == (end == "ROLLBACK")
    assert db.value(PARTS) > 7
    insert(db, "car", [(24.94, 60.17, START)])
    assert db.value("SELECT count(*) FROM gps_coordinates") == 1


def test_two_sessions_may_make_partitions_at_once(db):
    db.rows("SELECT partition_points()")
    db.rows(FORGET_FUTURE)
    with closing(db.connect(autocommit=False)) as other, closing(db.connect()) as session, ThreadPoolExecutor(1) as pool:
        other.cursor().execute("SELECT partition_points()")
        call = pool.submit(session.cursor().execute, "CALL upkeep()")
        db.wait_until("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        other.commit()
        call.result()
    assert db.value("SELECT max(to_time) > now() + interval '6 days' FROM _point_partitions()")


def test_no_partition_is_dropped_with_points_that_wait(db):
    old_points(db, "car", 20)
    db.rows("UPDATE gps_coordinates SET processed = false WHERE id = (SELECT min(id) FROM gps_coordinates)")
    db.rows("SELECT partition_points()")
    db.rows("CALL upkeep(points_older_than => '15 days')")
    assert waiting(db) == 1


def test_a_dump_holds_the_points_and_goes_into_a_new_database(db, osrm, empty_db):
    db.rows("SELECT partition_points()")
    insert(db, "car", drive(osrm, START, 300))
    old_points(db, "car", 400)
    process_all(db)
    dump = db.cluster.run("pg_dump", "--load-via-partition-root", "-d", db.name).stdout
    empty_db.psql("-q", input=dump)
    assert paths(empty_db) == paths(db) != []
    rows = "SELECT * FROM gps_coordinates ORDER BY id"
    assert empty_db.rows(rows) == db.rows(rows)
    assert empty_db.value("SELECT partition_points()") > 7
    assert empty_db.rows(rows) == db.rows(rows)
    assert empty_db.value("SELECT nextval('gps_coordinates_id_seq')") == db.value("SELECT nextval('gps_coordinates_id_seq')")


def test_the_extension_goes_with_its_partitions(db):
    db.rows("SELECT partition_points()")
    db.rows("DROP EXTENSION osrm_matcher")
    assert db.value("SELECT count(*) FROM pg_class WHERE relname LIKE 'gps_coordinates%%'") == 0


@pytest.mark.parametrize("made, every, state, words", [
    ("SELECT", "1 month", "22023", "no months"), ("SELECT", "100000000 days", "22023", "366 days at most"), ("SELECT", "1 minute", "22023", "an hour at least"),
    ("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
     "CREATE TRIGGER t BEFORE INSERT ON gps_coordinates FOR EACH ROW EXECUTE FUNCTION f()", "1 day", "55000", "trigger t on"),
    ("CREATE PUBLICATION p FOR TABLE gps_coordinates WITH (publish = 'insert')", "1 day", "55000", "publication"),
    ("CREATE POLICY mine ON gps_coordinates", "1 day", "55000", "policy mine"),
    ("CREATE RULE mine AS ON INSERT TO gps_coordinates WHERE NEW.device_id = 'no' DO INSTEAD NOTHING", "1 day", "55000", "rule mine"),
    ("CREATE VIEW mine AS SELECT * FROM gps_coordinates", "1 day", "55000", "view public.mine"),
    ("CREATE MATERIALIZED VIEW mine AS SELECT * FROM gps_coordinates", "1 day", "55000", "materialized view public.mine"),
    ("CREATE FUNCTION mine() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM gps_coordinates; END",
     "1 day", "55000", "function public.mine()"),
    ("CREATE FUNCTION mine(gps_coordinates) RETURNS text LANGUAGE sql AS 'SELECT $1.device_id'", "1 day", "55000", "function public.mine("),
    ("CREATE TABLE mine (d text, r timestamptz, i bigint, CONSTRAINT mine FOREIGN KEY (d, r, i) REFERENCES gps_coordinates)",
     "1 day", "55000", "constraint mine on table public.mine"),
    ("CREATE TABLE mine () INHERITS (gps_coordinates)", "1 day", "55000", "table public.mine"),
    ("CREATE TABLE mine (device_id text NOT NULL); ALTER TABLE gps_coordinates INHERIT mine", "1 day", "55000", "inherits from"),
    ("CREATE UNIQUE INDEX mine ON gps_coordinates (id) INCLUDE (recorded_at)", "1 day", "55000", "unique index public.mine"),
    ("ALTER TABLE gps_coordinates ADD CONSTRAINT mine EXCLUDE USING btree (id WITH =)", "1 day", "55000", "constraint mine"),
    ("ALTER TABLE gps_coordinates ADD CONSTRAINT mine CHECK (device_id <> 'no') NOT VALID", "1 day", "55000", "constraint mine"),
    ("ALTER TABLE gps_coordinates ADD COLUMN mine bigint GENERATED BY DEFAULT AS IDENTITY", "1 day", "55000", "identity of column mine"),
    ("ALTER TABLE gps_coordinates REPLICA IDENTITY FULL", "1 day", "55000", "replica identity"),
    ("INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)"
     "SELECT 'car', 24.9, 60.1, now() - n * interval '1 s' FROM generate_series(1, 1400000) n", "1 day", "55000", "too much"),
], ids=["months", "ages", "minutes", "trigger", "publication", "policy", "rule", "view", "materialized view", "function", "argument", "key",
        "child", "parent", "unique", "exclusion", "not valid", "identity", "replica", "size"])
def test_what_cannot_be_partitioned_is_refused_and_stays(db, made, every, state, words):
    db.rows(made)
    with pytest.raises(psycopg2.Error) as caught:
        db.rows("SELECT partition_points(%s)", (every,))
    assert caught.value.pgcode == state and words in str(caught.value)
    assert db.value("SELECT relkind FROM pg_class WHERE oid = 'gps_coordinates'::regclass") == "r"


def test_pg_partman_keeps_an_adopted_table(db, osrm):
    need("pg_partman")
    db.rows("""CREATE TABLE markers (username text, coords float8[], created_at timestamptz NOT NULL) PARTITION BY RANGE (created_at);
               SELECT * FROM adopt_source('markers');
               CREATE SCHEMA partman; CREATE EXTENSION pg_partman SCHEMA partman""")
    version = db.value("SELECT extversion FROM pg_extension WHERE extname = 'pg_partman'")
    every_day = "'native', 'daily'" if version.startswith("4.") else "'1 day'"
    db.rows(f"SELECT partman.create_parent('public.markers', 'created_at', {every_day})")
    for lon, lat, at in drive(osrm, START, 300):
        db.rows("INSERT INTO markers VALUES ('car', %s, %s)", ([lon, lat], at))
    process_all(db)
    lines, past = paths(db), """SELECT count(*) FROM pg_inherits WHERE inhparent = 'markers'::regclass
                                   AND replace(inhrelid::regclass::text, '_', '') BETWEEN 'markersp' AND %s"""
    day = db.value("SELECT 'markersp' || to_char(now() - interval '3 days', 'YYYYMMDD')")
    assert db.value(past, (day,)) > 0
    db.rows("UPDATE partman.part_config SET retention = '2 days', retention_keep_table = false")
    db.rows("SELECT partman.run_maintenance('public.markers')")
    assert db.value(past, (day,)) == 0
    process_all(db)
    assert paths(db) == lines != []
    assert db.value("SELECT reason IS NULL AND ready FROM adopted_sources")
