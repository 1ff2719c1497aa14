"""A table of the application that fails is set aside with its reason; everybody else's points go on, and readers
neither fail nor wait. Once it works again it is taken back, and nothing is missing."""

from contextlib import closing
from datetime import timedelta

import psycopg2
import pytest

from drives import drive, insert, paths, process_all, recent_window, waiting
from harness.fault_server import FaultServer
from test_adoption import fill_markers, make_markers
from test_cancel import Session

START = recent_window(60)
READS = ["SELECT get_device_page('car', tail => true)", "SELECT get_device_page('own', tail => true)",
         "SELECT * FROM get_device_tail('own')", "SELECT get_device_geojson('own', tail => true)",
         "SELECT * FROM worker_status()", "SELECT * FROM worker_alerts()", "SELECT * FROM worker_health",
         "SELECT * FROM cache_performance", "SELECT * FROM get_jobs()"]

def failing_trigger(code):
    """A trigger that raises this SQLSTATE, whatever the server means by it itself."""
    return (f"""CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN RAISE ''not today'' USING ERRCODE = ''{code}''; END';
                CREATE TRIGGER fail BEFORE UPDATE ON markers FOR EACH ROW EXECUTE FUNCTION fail()""",
            "DROP TRIGGER fail ON markers", "not today")


BREAK = {
    "a column that was renamed": ("ALTER TABLE markers RENAME coords TO place", "ALTER TABLE markers RENAME place TO coords",
                                  "coords"),
    "a table without replica identity in a publication": (
        "ALTER TABLE markers DROP CONSTRAINT markers_pkey; CREATE PUBLICATION p FOR TABLE markers",
        "DROP PUBLICATION p", "replica identity"),
    "rows that a new constraint forbids": (
        "ALTER TABLE markers ADD CONSTRAINT named CHECK (username <> 'car') NOT VALID",
        "ALTER TABLE markers DROP CONSTRAINT named", "named"),
    "a trigger that fails": failing_trigger("raise_exception"),
    "a trigger that fails as a cancel does": failing_trigger("query_canceled"),
    "a trigger that fails as a transaction does": failing_trigger("serialization_failure"),
    "a trigger that fails as a full disk does": failing_trigger("disk_full"),
    "a trigger whose file is gone": (
        """CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_read_file(''gone''); RETURN NEW; END';
           CREATE TRIGGER fail BEFORE UPDATE ON markers FOR EACH ROW EXECUTE FUNCTION fail()""",
        "DROP TRIGGER fail ON markers", "gone"),
}


@pytest.fixture
def two_sources(db, osrm):
    make_markers(db)
    db.rows("SELECT * FROM adopt_source('markers')")
    fill_markers(db, "car", drive(osrm, START, 300))
    insert(db, "own", drive(osrm, START, 300))


def try_again(db):
    db.rows("UPDATE adopted_sources SET set_aside_until = now()")
    db.rows("UPDATE processing_batches SET next_attempt_at = now() WHERE status = 'pending'")
    process_all(db)


@pytest.mark.parametrize("what", BREAK)
@pytest.mark.parametrize("run", ["CALL process_pending(20)", "SELECT * FROM process_pending_gps()"])
def test_a_source_that_fails_holds_up_nobody_else(db, osrm, two_sources, what, run):
    harm, remedy, reason = BREAK[what]
    db.rows(harm)
    db.rows(run)
    assert waiting(db) == 0
    assert [row[0] for row in paths(db)] == ["own"]
    assert db.value("SELECT count(*) FROM markers WHERE NOT processed") > 0
    for read in READS:
        db.rows(read)
    alerts = db.rows("SELECT problem, message FROM worker_alerts() WHERE problem = 'source_set_aside'")
    assert "markers" in alerts[0][1] and reason in alerts[0][1]
    assert any(reason in text for text in db.value("SELECT set_aside FROM worker_status()"))
    db.rows(remedy)
    try_again(db)
    assert db.value("SELECT count(*) FROM markers WHERE NOT processed") == 0
    assert [row[0] for row in paths(db)] == ["car", "own"]
    assert db.rows("SELECT * FROM worker_alerts() WHERE problem = 'source_set_aside'") == []


@pytest.mark.parametrize("change, says", [
    ("ALTER created_at TYPE timestamp", "column created_at has become timestamp without time zone from timestamp with time zone"),
    ("ALTER created_at DROP DEFAULT, ALTER created_at TYPE bigint USING 0", "column created_at has become bigint from timestamp with time zone"),
    ("RENAME username TO name", "column username is gone"),
])
def test_the_reason_says_which_column_has_changed_and_what_to_do(db, two_sources, change, says):
    db.rows(f"ALTER TABLE markers {change}")
    db.rows("CALL process_pending(20)")
    assert waiting(db) == 0
    reason = db.value("SELECT reason FROM adopted_sources")
    assert reason.startswith(f"since the table was adopted, {says}: release_source('public.markers'), then adopt_source() again (")
    assert db.rows("SELECT problem FROM worker_alerts() WHERE problem = 'source_set_aside'")
    if "timestamp" in change:
        db.rows("SELECT release_source('markers'); SELECT adopt_source('markers')")
        process_all(db)
        assert db.value("SELECT count(*) FROM markers WHERE NOT processed") == 0


def test_a_table_whose_index_is_lost_fails_neither_runs_nor_readers(db, osrm, two_sources):
    index = db.cluster.data / db.value("SELECT pg_relation_filepath('markers_osrm_waiting')")
    lost = index.with_name("lost")
    db.rows("CHECKPOINT")  # nothing of it is still to be written
    db.disconnect()  # who has opened it has it still
    index.rename(lost)
    try:
        for statement in ["CALL process_pending(20)"] + READS + ["SELECT start_backfill(now() - interval '2 h', now())"]:
            db.rows(statement)
            db.disconnect()
        assert [row[0] for row in paths(db)] == ["own"]
        assert "could not open file" in db.value("SELECT reason FROM adopted_sources")
    finally:
        lost.rename(index)
    try_again(db)
    assert [row[0] for row in paths(db)] == ["car", "own"]


def test_a_cancel_that_meets_a_statement_over_a_source_ends_the_run(db, two_sources):
    db.rows("""CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END';
               CREATE TRIGGER wait BEFORE UPDATE ON markers FOR EACH ROW EXECUTE FUNCTION wait()""")
    session = Session(db)
    db.wait_until("SELECT bool_or(wait_event = 'PgSleep') FROM pg_stat_activity WHERE pid = %s", parameters=(session.pid,))
    db.rows("SELECT pg_cancel_backend(%s)", (session.pid,))
    assert session.wait().pgcode == "57014"
    session.connection.close()
    assert db.value("SELECT set_aside_at IS NULL FROM adopted_sources")


def test_a_source_that_is_set_aside_costs_no_questions(db, osrm, two_sources):
    db.rows(BREAK["a trigger that fails"][0])
    with FaultServer(upstream=osrm) as server:
        db.set("osrm_matcher.osrm_url", server.url)
        db.rows("CALL process_pending(5, 1)")
        asked = len(server.matches())
        assert asked < 20
        for _ in range(3):
            db.rows("CALL process_pending(5, 1)")
        assert len(server.matches()) == asked


def test_one_row_that_cannot_be_marked_costs_its_window_alone(db, osrm, two_sources):
    """The table works for all others, so it is not set aside for long."""
    fill_markers(db, "other", drive(osrm, START, 300, seed=2))
    db.rows("ALTER TABLE markers ADD CONSTRAINT named CHECK (username <> 'car') NOT VALID")
    db.rows("CALL process_pending(20)")
    assert db.rows("SELECT DISTINCT username FROM markers WHERE NOT processed") == [("car",)]
    assert db.rows("SELECT device_id, error_code FROM processing_batches WHERE status = 'pending'") == [("car", "NotWritten")]
    assert db.value("SELECT set_aside_at IS NULL FROM adopted_sources")
    assert db.value("SELECT message FROM worker_alerts() WHERE problem = 'windows_hindered'")


def test_a_table_that_is_locked_makes_neither_runs_nor_readers_wait(db, osrm, two_sources):
    db.rows("SELECT * FROM process_pending_gps()")
    fill_markers(db, "car", drive(osrm, START + timedelta(minutes=5), 60))
    insert(db, "own", drive(osrm, START + timedelta(minutes=5), 60))
    with closing(db.connect(autocommit=False)) as session:
        session.cursor().execute("LOCK TABLE markers IN ACCESS EXCLUSIVE MODE")
        with closing(db.connect()) as other:
            cursor = other.cursor()
            cursor.execute("SET statement_timeout = '5s'")
            for statement in READS + ["CALL process_pending(20)"] + READS:
                cursor.execute(statement)
            cursor.execute("SELECT start_backfill(now() - interval '2 h', now(), '{own}')")
            cursor.execute("CALL process_pending(20)")
        assert waiting(db) == 0
        assert db.value("SELECT reason FROM adopted_sources") is not None
    process_all(db)
    assert db.value("SELECT count(*) FROM markers WHERE NOT processed") == 0
    assert db.value("SELECT reason FROM adopted_sources") is None
    assert db.value("SELECT bool_and(status = 'done') FROM get_jobs()")


def test_what_was_matched_without_a_source_is_matched_again_when_it_is_back(db, osrm):
    """A device whose points lie in two tables, one of which is away while a point comes in the other."""
    fixes = drive(osrm, START, 600)
    make_markers(db)
    db.rows("SELECT * FROM adopt_source('markers')")
    fill_markers(db, "car", fixes[0:100:2])
    insert(db, "car", fixes[1:100:2])
    process_all(db)
    db.rows("ALTER TABLE markers RENAME coords TO place")
    insert(db, "car", fixes[100:])
    db.rows("CALL process_pending(20)")
    db.rows("ALTER TABLE markers RENAME place TO coords")
    try_again(db)
    insert(db, "all at once", fixes)
    process_all(db)
    lines = "SELECT start_time, end_time, encoded_polyline FROM get_device_paths(%s)"
    assert db.rows(lines, ("car",)) == db.rows(lines, ("all at once",)) != []


def put_windows_on_record(db, count):
    """Windows of a car that were matched since its table was set aside, back from the present."""
    db.rows("""INSERT INTO processing_batches (device_id, start_time, end_time, status, processing_completed_at,
                                               context_start, context_end)
               SELECT 'car', w, w + interval '5 min', 'completed', now(), w, w + interval '5 min'
                 FROM generate_series(%(t)s - %(n)s * interval '5 min', %(t)s, '5 min') w
               ON CONFLICT DO NOTHING""", {"t": START, "n": count - 1})


def test_the_longer_a_table_is_away_a_try_is_no_dearer(db, two_sources):
    db.rows("ALTER TABLE markers RENAME coords TO place")
    db.rows("CALL process_pending(20)")
    put_windows_on_record(db, 20_000)
    db.rows("ANALYZE processing_batches; UPDATE adopted_sources SET set_aside_until = now()")
    with closing(db.connect(autocommit=False)) as session, closing(session.cursor()) as cursor:
        cursor.execute("SELECT * FROM process_pending_gps()")
        cursor.execute("SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'processing_batches'")
        assert cursor.fetchone()[0] < 2_000
        session.commit()
    assert db.value("SELECT set_aside_until > now() FROM adopted_sources")


def test_however_much_was_missed_all_of_it_is_looked_at(db, two_sources):
    """More than is looked at in one go, with points in the oldest window."""
    windows = 25_000
    db.rows("ALTER TABLE markers RENAME coords TO place")
    db.rows("CALL process_pending(20)")
    put_windows_on_record(db, windows)
    db.rows("INSERT INTO markers (username, place, created_at) VALUES ('car', '{24.94, 60.17}', %s)",
            (START - (windows - 1) * timedelta(minutes=5),))
    db.rows("ALTER TABLE markers RENAME place TO coords")
    try_again(db)
    assert db.value("SELECT count(*) FROM markers WHERE NOT processed") == 0
    assert db.value("SELECT reason FROM adopted_sources") is None


def test_a_window_of_a_source_that_is_away_keeps_its_line(db, osrm, two_sources):
    """Something makes the window due while its points cannot be read: an empty window it is not."""
    process_all(db)
    before = paths(db)
    db.rows("ALTER TABLE markers RENAME coords TO place")
    db.rows("UPDATE processing_batches SET status = 'pending', next_attempt_at = now()")
    db.rows("CALL process_pending(20)")
    assert paths(db) == before
    assert db.rows("SELECT device_id, error_code FROM processing_batches WHERE status = 'pending'") == [("car", "SourceSetAside")]
    db.rows("ALTER TABLE markers RENAME place TO coords")
    try_again(db)
    assert paths(db) == before
    assert db.value("SELECT count(*) FROM processing_batches WHERE status <> 'completed'") == 0


def test_a_job_waits_for_a_source_that_is_away(db, osrm, two_sources):
    process_all(db)
    db.rows("ALTER TABLE markers RENAME coords TO place")
    db.rows("SELECT start_rematch(now() - interval '2 h', now())")
    db.rows("CALL process_pending(20)")
    db.rows("ALTER TABLE markers RENAME place TO coords")
    db.rows("UPDATE processing_batches SET processing_completed_at = '-infinity', created_at = '-infinity'")
    db.rows("UPDATE adopted_sources SET set_aside_until = now()")
    for _ in range(3):
        db.rows("UPDATE processing_batches SET next_attempt_at = now() WHERE status = 'pending'")
        process_all(db)
    assert db.value("SELECT bool_and(processing_completed_at > now() - interval '1 h') FROM processing_batches"
                    " WHERE device_id = 'car'")
    assert db.value("SELECT status FROM get_jobs()") == "done"


def test_a_temporary_table_is_refused(db):
    with closing(db.connect()) as session:
        cursor = session.cursor()
        cursor.execute("CREATE TEMP TABLE mine (username text, coords float8[], created_at timestamptz)")
        with pytest.raises(psycopg2.errors.WrongObjectType):
            cursor.execute("SELECT * FROM adopt_source('mine')")
