"""Points in a hypertable of TimescaleDB: it is adopted with its chunks, and chunks come and go as they always did.

The library is loaded with the server and looks into each of its databases, so it has a cluster of its own. What
needs the edition under the Timescale License is skipped with the other one, which is Debian's.
"""

import threading
from contextlib import closing
from datetime import timedelta

import psycopg2
import pytest

from drives import drive, insert, paths, process_all, recent_window
from harness.database import Database
from optional import need
from test_adoption import fill_markers, shape
from test_partitions import adopt, db_run, left_over, look_ups

START = recent_window(60)
LINES = "SELECT start_time, end_time, encoded_polyline FROM get_device_paths(%s)"
CHUNKS = "SELECT inhrelid FROM pg_inherits WHERE inhparent = 'markers'::regclass"
# Those of chunks: three of ours each.
INDEXES = f"""SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
               WHERE i.indrelid IN ({CHUNKS}) AND i.indisvalid AND c.relname LIKE '%%_osrm_%%'"""


@pytest.fixture(scope="module")
def timescale(osrm, new_cluster):
    need("timescaledb")
    with new_cluster("timescale", osrm.url, fsync="off", shared_preload_libraries="timescaledb",
                     max_locks_per_transaction="512") as cluster:
        yield cluster


@pytest.fixture
def db(timescale, request):
    name = f"timescale_{abs(hash(request.node.name))}"
    timescale.create_database(name, "template0")  # no worker of TimescaleDB looks into that
    database = Database(timescale, name)
    database.rows("SET client_min_messages = error; CREATE EXTENSION timescaledb; CREATE EXTENSION osrm_matcher")
    yield database
    database.disconnect()
    timescale.drop_database(name)


def make_hypertable(db, every="15 minutes"):
    db.rows("CREATE TABLE markers (id bigserial, username text, coords double precision[], created_at timestamptz NOT NULL)")
    db.rows("SELECT create_hypertable('markers', 'created_at', chunk_time_interval => %s::interval)", (every,))


def make_large(db):
    """Beyond the size at which indexes are built at once, with history that no run takes, in some ten chunks."""
    db.rows("""INSERT INTO markers (username, coords, created_at)
               SELECT 'u' || i % 100, '{24.9,60.1}', now() - interval '9 days' - i * interval '100 ms'
                 FROM generate_series(1, 80000) i""")


def chunk_count(db):
    return db.value(f"SELECT count(*) FROM ({CHUNKS}) c")


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
def test_a_hypertable_gives_the_same_paths_as_one_table(db, osrm, large):
    fixes = drive(osrm, START, 1200)
    insert(db, "own", fixes)
    make_hypertable(db)
    before = shape(db, "markers")
    if large:
        make_large(db)
    fill_markers(db, "car", fixes)
    adopt(db)
    process_all(db)
    assert db.rows(LINES, ("car",)) == db.rows(LINES, ("own",)) != []
    assert left_over(db) == 0
    assert db.value("SELECT count(*) FROM markers WHERE username = 'car' AND batch_id IS NULL") == 0
    assert chunk_count(db) >= 2
    assert db.value(INDEXES) == 3 * chunk_count(db)
    points = len(fixes) * 2 + (80_000 if large else 0)
    db.wait_until(f"SELECT processed_points + unprocessed_points >= {points} FROM worker_status()")

    assert db.value("SELECT release_source('markers')") is True
    assert shape(db, "markers") == before
    assert db.value(INDEXES) == 0
    assert db.value(f"SELECT count(*) FROM pg_attribute WHERE attname IN ('processed', 'batch_id') AND attrelid IN ({CHUNKS})") == 0


def test_no_look_up_goes_into_chunks_of_another_time_however_many_they_are(db, osrm):
    make_hypertable(db, "1 day")
    adopt(db)
    chunks, found = "INSERT INTO markers (username, created_at) SELECT 'old', now() - n * interval '1 day' FROM generate_series(%s, %s) n", []
    for first, last in [(9, 15), (16, 400)]:
        db.rows(chunks, (first, last))
        db.rows("UPDATE markers SET processed = true; SELECT forget_device('car'), forget_device('van')")
        db.rows("DELETE FROM markers WHERE username <> 'old'")
        found.append(look_ups(db, osrm))
    assert chunk_count(db) > 390 and found[0] == found[1]


def test_a_row_without_a_device_costs_no_row_of_another_chunk_its_path(db, osrm):
    make_hypertable(db)
    db.rows("SELECT * FROM adopt_source('markers')")
    db.rows("""INSERT INTO markers (username, coords, created_at)
               SELECT NULL, '{24.9,60.1}', %s FROM generate_series(1, 100)""", (START - timedelta(hours=1),))
    fixes = drive(osrm, START, 300)
    fill_markers(db, "car", fixes)
    process_all(db)
    assert db.value("SELECT sum(rejected) FROM worker_runs") == 100
    assert db.value("SELECT count(*) FROM markers WHERE batch_id IS NULL AND username = 'car'") == 0
    assert db.value("SELECT sum(source_coordinates_count) FROM cached_polylines") == len(fixes)


def test_points_of_a_chunk_made_after_adoption_are_in_a_path_at_the_next_run(db, osrm):
    make_hypertable(db)
    make_large(db)
    adopt(db)
    old = chunk_count(db)
    fixes = drive(osrm, START, 1200)
    fill_markers(db, "car", fixes)
    assert chunk_count(db) >= old + 2
    db.rows("SELECT * FROM process_pending_gps()")
    assert left_over(db) == 0
    assert db.value("SELECT sum(source_coordinates_count) FROM cached_polylines") == len(fixes)
    assert db.value(INDEXES) == 3 * chunk_count(db)


def test_chunks_dropped_in_the_middle_of_a_run_stop_nothing(db, osrm):
    make_hypertable(db)
    for device in "abc":
        fill_markers(db, device, drive(osrm, START, 1800))
    db.rows("SELECT * FROM adopt_source('markers')")
    run = threading.Thread(target=db_run, args=(db,))
    run.start()
    db.wait_until("SELECT count(*) > 0 FROM cached_polylines")
    assert len(db.rows("SELECT drop_chunks('markers', %s)", (START + timedelta(minutes=15),))) == 1
    run.join()
    process_all(db)
    assert left_over(db) == 0
    assert {row[0] for row in paths(db)} == {"a", "b", "c"}
    assert db.value("SELECT count(*) FROM processing_batches WHERE status <> 'completed'") == 0
    assert db.value("SELECT reason IS NULL FROM adopted_sources")


def test_lines_of_dropped_chunks_stay_also_when_they_are_to_be_matched_again(db, osrm):
    make_hypertable(db)
    fill_markers(db, "car", drive(osrm, START, 1800))
    adopt(db)
    process_all(db)
    before = paths(db)
    db.rows("SELECT drop_chunks('markers', %s)", (START + timedelta(minutes=15),))
    db.rows("SELECT start_rematch(now() - interval '1 day', now())")
    process_all(db)
    border = START + timedelta(minutes=15)
    assert [p for p in paths(db) if p[2] < border] == [p for p in before if p[2] < border] != []


def test_a_rematch_and_a_forgotten_device_are_as_with_any_table(db, osrm):
    make_hypertable(db)
    fill_markers(db, "car", drive(osrm, START, 1200))
    adopt(db)
    process_all(db)
    before = paths(db)
    db.rows("SELECT * FROM forget_device('car')")
    assert paths(db) == []
    db.rows("SELECT start_rematch(now() - interval '1 day', now())")
    process_all(db)
    assert paths(db) == before != []


def test_a_large_hypertables_chunks_get_their_indexes_one_by_one_and_no_writer_waits(db):
    make_hypertable(db)
    make_large(db)
    later = [statement for statement, done in db.rows("SELECT statement, done FROM adopt_source('markers')") if not done]
    assert len(later) == 3 * chunk_count(db) and all("CONCURRENTLY" in statement for statement in later)
    chunk = db.value("SELECT tableoid::regclass::text FROM markers ORDER BY created_at DESC LIMIT 1")
    write = "INSERT INTO markers (username, created_at) SELECT 'w', max(created_at) FROM markers"  # into that chunk
    its = next(statement for statement in later if f" ON {chunk} " in statement)
    at_work = "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONC%%' AND wait_event_type = 'Lock'"
    with closing(db.connect(autocommit=False)) as early, closing(db.connect()) as writer:
        early.cursor().execute(write)
        builds = threading.Thread(target=build, args=(db, its))
        builds.start()
        db.wait_until(at_work)
        writer.cursor().execute("SET statement_timeout = '20s'")
        writer.cursor().execute(write)
        assert db.value(at_work)
        early.rollback()
        builds.join()
    for statement in later:
        if statement != its:
            db.rows(statement)
    db.rows("CALL process_pending(10)")
    assert db.value("SELECT ready FROM adopted_sources")
    assert db.value(INDEXES) == 3 * chunk_count(db)


def build(db, statement):
    with closing(db.connect()) as session:
        session.cursor().execute(statement)


@pytest.mark.parametrize("done", [0, 4])
def test_adoption_that_a_dropped_extension_has_left_half_done_is_done_to_its_end(db, osrm, done):
    make_hypertable(db)
    make_large(db)
    for statement, in db.rows("SELECT statement FROM adopt_source('markers') WHERE NOT done")[:done]:
        db.rows(statement)
    db.rows("DROP EXTENSION osrm_matcher")
    fill_markers(db, "car", drive(osrm, START, 300))
    db.rows("CREATE EXTENSION osrm_matcher")
    adopt(db)
    process_all(db)
    assert left_over(db) == 0 and db.value(INDEXES) == 3 * chunk_count(db)


def test_a_chunk_by_itself_is_refused(db):
    make_hypertable(db)
    make_large(db)
    chunk = db.value(f"SELECT min(inhrelid)::regclass FROM ({CHUNKS}) c")
    for adopted in False, True:
        with pytest.raises(psycopg2.Error) as refusal:
            db.rows("SELECT * FROM adopt_source(%s)", (chunk,))
        diagnosis = refusal.value.diag
        assert refusal.value.pgcode == "42809"
        assert "chunk of markers" in diagnosis.message_primary.replace("public.", "")
        assert ("nothing to do" if adopted else "Adopt markers, with all its chunks") in diagnosis.message_hint.replace("public.", "")
        db.rows("SELECT * FROM adopt_source('markers')" if not adopted else "SELECT release_source('markers')")


def test_a_table_of_that_name_that_is_not_timescaledbs_is_not_asked(timescale):
    timescale.create_database("no_timescale", "template0")
    db = Database(timescale, "no_timescale")
    db.rows("""CREATE EXTENSION osrm_matcher; CREATE SCHEMA _timescaledb_catalog;
               CREATE TABLE _timescaledb_catalog.hypertable (schema_name name, table_name name);
               INSERT INTO _timescaledb_catalog.hypertable VALUES ('public', 'markers');
               CREATE TABLE markers (id integer, username text, coords float8[], created_at timestamptz);
               CREATE TABLE more () INHERITS (markers)""")
    with pytest.raises(psycopg2.Error, match="inherit from it"):
        db.rows("SELECT * FROM adopt_source('markers')")
    db.disconnect()
    timescale.drop_database("no_timescale")


@pytest.mark.parametrize("early", [False, True], ids=["compressed after adoption", "compressed before"])
def test_compressed_chunks_are_not_read_and_a_point_that_comes_into_one_is_told_of(db, osrm, early):
    if db.value("SHOW timescaledb.license") != "timescale":
        pytest.skip("compression needs TimescaleDB's edition under the Timescale License")
    make_hypertable(db)
    border, compress = START + timedelta(minutes=15), """
        ALTER TABLE markers SET (timescaledb.compress, timescaledb.compress_segmentby = 'username');
        SELECT compress_chunk(c) FROM show_chunks('markers', older_than => timestamptz %s) c"""
    fill_markers(db, "car", drive(osrm, START, 1800)[:180 if early else None])
    if early:
        db.rows(compress, (border,))
    adopt(db)
    process_all(db)
    before = paths(db)
    if early:
        assert before == []
        fill_markers(db, "car", drive(osrm, START, 1800)[180:])
    else:
        db.rows(compress, (border,))
    fill_markers(db, "car", [(24.94, 60.17, START + timedelta(seconds=2))])
    fill_markers(db, "van", drive(osrm, border, 300))
    fill_markers(db, None, drive(osrm, border, 60))
    process_all(db)
    assert db.value("SELECT reason IS NULL AND ready FROM adopted_sources")
    assert db.value("SELECT count(*) FROM markers WHERE NOT processed AND created_at >= %s", (border,)) == 0
    assert {row[0] for row in paths(db) if row[1] >= border} == {"car", "van"}
    message = db.value("SELECT message FROM worker_alerts() WHERE problem = 'points_compressed'")
    assert message.replace("public.", "").startswith("1 points of table markers have come into _timescaledb_internal._hyper")
    db.rows("SELECT start_rematch(now() - interval '1 day', now())")
    process_all(db)
    assert [p for p in paths(db) if p[2] < border] == [p for p in before if p[2] < border]
    db.rows("SELECT decompress_chunk(c) FROM show_chunks('markers') c")
    process_all(db)
    assert left_over(db) == 0
    assert db.value("SELECT count(*) FROM worker_alerts() WHERE problem = 'points_compressed'") == 0
    assert db.value("SELECT count(*) FROM cached_polylines WHERE device_id = 'car' AND start_time < %s", (border,)) > 0
    db.rows("SELECT release_source('markers')")
