"""What cannot be a source of points is refused at adoption, in its own words and with what to do instead."""

import re
from contextlib import closing

import psycopg2
import pytest

from drives import drive, recent_window
from optional import need

COLUMNS = "(id integer, username text, coords float8[], created_at timestamptz)"

REFUSED = {
    "a view": (f"CREATE TABLE t {COLUMNS}; CREATE VIEW x AS SELECT * FROM t", "42809", "x is a view", "table that it shows"),
    "a materialized view": (f"CREATE TABLE t {COLUMNS}; CREATE MATERIALIZED VIEW x AS SELECT * FROM t", "42809",
                            "materialized view", "made from"),
    "a foreign table": (f"""CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
                            CREATE FOREIGN TABLE x {COLUMNS} SERVER s""", "42809", "foreign table", "where it lies"),
    "a sequence": ("CREATE SEQUENCE x", "42809", "x is not a table", "written to"),
    "a temporary table": (f"CREATE TEMP TABLE x {COLUMNS}", "42809", "temporary", "ordinary table"),
    "an unlogged table": (f"CREATE UNLOGGED TABLE x {COLUMNS}", "42809", "unlogged", "ALTER TABLE x SET LOGGED"),
    "a partition": (f"""CREATE TABLE t {COLUMNS} PARTITION BY LIST (username);
                        CREATE TABLE x PARTITION OF t DEFAULT""", "42809", "partition of t", "Adopt t"),
    "a partition of an adopted table": (f"""CREATE TABLE t {COLUMNS} PARTITION BY LIST (username);
                                            CREATE TABLE x PARTITION OF t DEFAULT; SELECT * FROM adopt_source('t')""",
                                        "42809", "partition of t, which is adopted", "nothing to do"),
    "a table with an unlogged partition": (f"""CREATE TABLE x {COLUMNS} PARTITION BY LIST (username);
                                               CREATE UNLOGGED TABLE t PARTITION OF x DEFAULT""",
                                           "42809", "partition of table x: table t is unlogged", "ALTER TABLE t SET LOGGED"),
    "a table with a foreign partition": (f"""CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
                                             CREATE TABLE x {COLUMNS} PARTITION BY LIST (username);
                                             CREATE FOREIGN TABLE t PARTITION OF x DEFAULT SERVER s""",
                                         "42809", "partition of table x: t is a foreign table", "where it lies"),
    "a parent": (f"CREATE TABLE x {COLUMNS}; CREATE TABLE c1 () INHERITS (x); CREATE TABLE c2 () INHERITS (x)", "42809",
                 "inherit from it", "c1, c2"),
    "a rule": (f"CREATE TABLE x {COLUMNS}; CREATE RULE away AS ON INSERT TO x DO INSTEAD NOTHING", "55000", 'rule "away"',
               "DROP RULE away ON x"),
    "a rule of marks": (f"CREATE TABLE x {COLUMNS}; CREATE RULE stay AS ON UPDATE TO x DO INSTEAD NOTHING", "55000",
                        'rule "stay"', "DROP RULE stay ON x"),
    "a publication": (f"CREATE TABLE x {COLUMNS}; CREATE PUBLICATION p FOR TABLE x", "55000", 'publication "p"', "REPLICA IDENTITY FULL"),
    "a publication, and a key that is checked late": (
        f"CREATE TABLE x {COLUMNS}; ALTER TABLE x ADD COLUMN key serial PRIMARY KEY DEFERRABLE; CREATE PUBLICATION p FOR TABLE x",
        "55000", 'publication "p"', "primary key that is not deferrable"),
    "a publication of all": (f"CREATE TABLE x {COLUMNS}; CREATE PUBLICATION p FOR ALL TABLES", "55000", 'publication "p"',
                             "primary key"),
    "a publication of a partitioned table": (f"""CREATE TABLE x {COLUMNS} PARTITION BY LIST (username);
                                                 CREATE TABLE t PARTITION OF x DEFAULT;
                                                 CREATE PUBLICATION p FOR TABLE x WITH (publish_via_partition_root)""",
                                             "55000", 'table t is in the publication "p"', "ALTER TABLE t REPLICA IDENTITY FULL"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_a_source_is_refused_with_what_to_do(db, what):
    made, state, words, hint = REFUSED[what]
    db.rows(made)
    count = db.value("SELECT count(*) FROM adopted_sources")
    for dry in "true", "false":
        with pytest.raises(psycopg2.Error) as refusal:
            db.rows(f"SELECT * FROM adopt_source('x', dry_run => {dry})")
        diagnosis = refusal.value.diag
        assert refusal.value.pgcode == state
        assert words in diagnosis.message_primary.replace("public.", "")
        assert hint in diagnosis.message_hint.replace("public.", "")
    assert db.value("SELECT count(*) FROM adopted_sources") == count


@pytest.mark.parametrize("made", [
    f"CREATE TABLE x {COLUMNS}; ALTER TABLE x REPLICA IDENTITY FULL; CREATE PUBLICATION p FOR TABLE x",
    f"CREATE TABLE x {COLUMNS}; ALTER TABLE x ADD PRIMARY KEY (id); CREATE PUBLICATION p FOR ALL TABLES",
    f"CREATE TABLE x {COLUMNS}; CREATE PUBLICATION p FOR TABLE x WITH (publish = 'insert')",
    f"CREATE TABLE x {COLUMNS}; CREATE RULE keep AS ON DELETE TO x DO INSTEAD NOTHING",
    f"CREATE TABLE t {COLUMNS}; CREATE TABLE x () INHERITS (t)",
], ids=["full identity", "key", "inserts alone", "no deletes", "a child"])
def test_what_is_near_to_that_is_not_refused(db, made):
    db.rows(made)
    db.rows("SELECT * FROM adopt_source('x')")
    db.rows("INSERT INTO x (id, username, created_at) VALUES (1, 'car', now()), (2, NULL, NULL)")
    db.rows("CALL process_pending(10)")
    assert db.value("SELECT count(*) FROM x WHERE NOT processed") == 0


@pytest.fixture
def vacuumed(osrm, new_cluster):
    """A database with a table that autovacuum is at, and does not come to an end with."""
    from harness.database import Database

    with new_cluster("vacuumed", osrm.url, autovacuum_naptime="1s") as cluster:
        database = Database(cluster, "postgres")
        database.rows("CREATE EXTENSION osrm_matcher")
        database.rows(f"""CREATE TABLE markers {COLUMNS} WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
                                                               autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
                          INSERT INTO markers SELECT n, 'u', NULL, now() - interval '9 days' FROM generate_series(1, 20000) n;
                          DELETE FROM markers WHERE id % 2 = 0""")
        yield database
        database.disconnect()


def test_adoption_and_release_have_autovacuum_give_way(vacuumed):
    db = vacuumed
    at_it = """SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                WHERE a.backend_type = 'autovacuum worker' AND l.relation = 'markers'::regclass
                  AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted"""
    db.wait_until(at_it)
    with closing(db.connect()) as writer:
        writer.cursor().execute("SET statement_timeout = '500ms'")
        db.rows("SELECT * FROM adopt_source('markers')")
        db.rows("DELETE FROM markers WHERE id % 3 = 0")
        db.wait_until(at_it)
        db.rows("SELECT release_source('markers')")
    assert db.value("SELECT count(*) FROM adopted_sources") == 0


def test_a_type_that_cannot_serve_is_refused_with_a_way_to_one_that_can(db):
    db.rows("CREATE TABLE markers (username text, place jsonb, created_at timestamptz)")
    with pytest.raises(psycopg2.errors.DatatypeMismatch) as told:
        db.rows("SELECT * FROM adopt_source('markers', coordinates_column => 'place')")
    assert "generated column" in told.value.diag.message_hint and "trigger" in told.value.diag.message_hint
    db.rows("""ALTER TABLE markers ADD COLUMN coords double precision[] GENERATED ALWAYS AS
                   (ARRAY[(place ->> 'lon')::double precision, (place ->> 'lat')::double precision]) STORED;
               INSERT INTO markers VALUES ('bus', '{"lon": 24.94, "lat": 60.17}', now() - interval '1 hour')""")
    db.rows("SELECT * FROM adopt_source('markers')")
    assert db.rows("SELECT points, rejected FROM process_pending_gps()") == [(1, 0)]


@pytest.mark.parametrize("column", ["geometry(Point, 3857)", "geography(Point, 4267)"])
def test_places_that_are_not_in_wgs_84_are_refused_with_a_way_to_some_that_are(db, osrm, column):
    need("postgis")
    (kind, srid) = re.match(r"(\w+)\(Point, (\d+)\)", column).groups()
    fixes = drive(osrm, recent_window(60), 300)
    db.rows(f"CREATE EXTENSION postgis; CREATE TABLE markers (username text, coords {column}, created_at timestamptz)")
    for lon, lat, at in fixes:
        db.rows(f"INSERT INTO markers VALUES ('car', ST_Transform(ST_SetSRID(ST_MakePoint(%s, %s), 4326), {srid})::{kind}, %s)", (lon, lat, at))
    with pytest.raises(psycopg2.errors.FeatureNotSupported) as refusal:
        db.rows("SELECT * FROM adopt_source('markers')")
    assert srid in refusal.value.diag.message_primary
    generated = re.search(r"GENERATED .* STORED", refusal.value.diag.message_hint)[0]
    db.rows(f"""ALTER TABLE markers ADD COLUMN lon double precision {generated},
                                    ADD COLUMN lat double precision {generated.replace('ST_X', 'ST_Y')};
                SELECT adopt_source('markers', longitude_column => 'lon', latitude_column => 'lat')""")
    assert db.rows("SELECT points, rejected, paths FROM process_pending_gps()") == [(60, 0, 1)]
    assert all(abs(lon - fix[0]) + abs(lat - fix[1]) < 1e-6
               for (lon, lat), fix in zip(db.rows("SELECT lon, lat FROM markers ORDER BY created_at"), fixes))


@pytest.mark.parametrize(("ddl", "row", "arguments"), [
    ("coords double precision[]", "ARRAY[24.94, 60.17, 12.5]", ""),  # with a height
    ("lon integer, lat integer", "249400000, 601700000", ", longitude_column => 'lon', latitude_column => 'lat'"),
    ("coords point", "NULL", ""),
])
@pytest.mark.parametrize("parted", ["", "PARTITION BY HASH (username)"])
def test_a_table_of_which_no_row_can_be_used_is_warned_of(db, ddl, row, arguments, parted):
    db.rows(f"CREATE TABLE markers (username text, created_at timestamptz, {ddl}) {parted}")
    if parted:
        db.rows("CREATE TABLE markers_1 PARTITION OF markers FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
    adopt, warnings = f"SELECT * FROM adopt_source('markers'{arguments}, dry_run => %s)", "none of 20 rows of table public.markers"
    with closing(db.connect()) as session:
        cursor = session.cursor()
        cursor.execute(adopt, (True,))  # an empty table says nothing
        assert session.notices == []
        cursor.execute(f"INSERT INTO markers SELECT 'bus', now() - n * interval '1 min', {row} FROM generate_series(1, 20) n")
        for dry_run in (True, False):
            session.notices.clear()
            cursor.execute(adopt, (dry_run,))
            assert warnings in session.notices[0] and "two numbers a point" in session.notices[0]


def test_a_table_of_which_some_rows_can_be_used_is_not_warned_of(db):
    db.rows("""CREATE TABLE markers (username text, created_at timestamptz, coords point);
               INSERT INTO markers VALUES ('bus', now(), NULL), ('bus', now(), '(24.94,60.17)')""")
    with closing(db.connect()) as session:
        session.cursor().execute("SELECT * FROM adopt_source('markers')")
        assert session.notices == []
