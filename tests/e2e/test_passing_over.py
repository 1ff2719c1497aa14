"""One row that somebody holds makes no run wait: its window is passed over and taken next time, the others go on."""

from contextlib import closing

import pytest

from drives import drive, insert, paths, process_all, recent_window, waiting
from harness.fault_server import FaultServer
from harness.outcome import leftovers

START = recent_window(60)
RUNS = ["CALL process_pending(20)", "SELECT * FROM process_pending_gps()"]


@pytest.fixture
def session(db):
    """A session of its own, without autocommit."""
    connection = db.connect(autocommit=False)
    yield connection
    connection.close()


@pytest.fixture
def fleet(db, osrm):
    for number in range(6):
        insert(db, f"car-{number}", drive(osrm, START, 300, seed=number))


def waiting_devices(db):
    return [name for name, in db.rows("SELECT DISTINCT device_id FROM gps_coordinates WHERE NOT processed ORDER BY 1")]


def run(db, statement):
    """In a session that would rather fail than wait."""
    with closing(db.connect()) as worker:
        worker.cursor().execute("SET statement_timeout = '30s'")
        worker.cursor().execute(statement)


def more_points(db, osrm, number):
    insert(db, f"car-{number}", [fix for fix in drive(osrm, START, 300, seed=number + 10)][:3])


@pytest.mark.parametrize("statement", RUNS)
@pytest.mark.parametrize("strength", ["FOR UPDATE", "FOR KEY SHARE", "FOR NO KEY UPDATE"])
def test_a_point_that_is_held_holds_up_its_window_alone(db, fleet, session, statement, strength):
    session.cursor().execute(
        f"SELECT FROM gps_coordinates WHERE device_id = 'car-2' ORDER BY recorded_at LIMIT 1 {strength}")
    run(db, statement)
    held = [] if strength == "FOR KEY SHARE" else ["car-2"]
    assert waiting_devices(db) == held
    if held:
        assert db.rows("SELECT status, error_code, retry_count, next_attempt_at > now() FROM processing_batches"
                       " WHERE device_id = 'car-2'") == [("pending", "Locked", 0, True)]
        assert any("put off" in text for text in db.value("SELECT set_aside FROM worker_status()"))
    session.rollback()
    db.rows("UPDATE processing_batches SET next_attempt_at = now() WHERE status = 'pending'")
    process_all(db)
    assert leftovers(db) == {}


HOLD = {
    "a batch": "SELECT FROM processing_batches WHERE device_id = 'car-2' FOR UPDATE",
    "a path": "UPDATE cached_polylines SET last_accessed = now() WHERE device_id = 'car-2'",
    "a stop": "SELECT FROM stops WHERE device_id = 'car-2' FOR UPDATE",
    "batches claimed by hand": "SELECT * FROM claim_batches()",
    "failed batches": "SELECT retry_failed()",
    "reads": "SELECT FROM path_reads FOR UPDATE",
}


@pytest.mark.parametrize("statement", RUNS)
@pytest.mark.parametrize("what", HOLD)
def test_a_row_of_ours_that_is_held_holds_up_its_device_alone(db, osrm, fleet, session, statement, what):
    process_all(db)
    if what == "a stop":
        db.rows("""INSERT INTO stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count)
                   SELECT device_id, start_time, end_time, 24.9, 60.1, 1 FROM processing_batches""")
    if what == "failed batches":
        db.rows("UPDATE processing_batches SET status = 'failed' WHERE device_id = 'car-2'")
    if what == "batches claimed by hand":
        db.rows("UPDATE processing_batches SET status = 'pending' WHERE device_id = 'car-2'")
    db.rows("""INSERT INTO path_reads (device_id, from_time, to_time, read_at, stored)
               VALUES ('car-2', now() - interval '1 h', now(), now() - interval '2 days', true),
                      ('car-2', now() - interval '1 h', now(), now(), false)""")
    session.cursor().execute(HOLD[what])
    for number in range(6):
        more_points(db, osrm, number)
    run(db, statement)
    assert waiting_devices(db) == ([] if what == "reads" else ["car-2"])
    if what != "reads":
        assert db.value("SELECT windows_deferred FROM worker_runs ORDER BY id DESC LIMIT 1") == 1
    session.rollback()
    process_all(db)
    assert leftovers(db) == {}


def test_a_device_that_is_held_costs_no_question_to_the_server(db, osrm, fleet, session):
    process_all(db)
    session.cursor().execute("SELECT FROM processing_batches WHERE device_id = 'car-2' FOR UPDATE")
    more_points(db, osrm, 2)
    with FaultServer(upstream=osrm) as server:
        db.set("osrm_matcher.osrm_url", server.url)
        run(db, "CALL process_pending(20, 1)")
        assert not server.matches()
    assert waiting_devices(db) == ["car-2"]


def test_a_fleet_that_is_held_does_not_hide_the_device_behind_it(db, osrm, session):
    """More devices are held than a round takes windows."""
    fixes = drive(osrm, START, 60)
    for number in range(12):
        insert(db, f"held-{number:02}", fixes)
    process_all(db)
    session.cursor().execute("SELECT FROM processing_batches FOR UPDATE")
    db.rows("UPDATE gps_coordinates SET processed = false")
    insert(db, "z", drive(osrm, START, 60, seed=2))
    db.rows("SELECT * FROM process_pending_gps(5)")
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE device_id = 'z' AND NOT processed") == 0
    session.rollback()
    process_all(db)
    assert leftovers(db) == {}


def test_a_path_that_an_import_is_about_to_commit_is_not_waited_for(db, osrm, fleet, session):
    first = db.value("SELECT min(recorded_at) FROM gps_coordinates WHERE device_id = 'car-2'")
    session.cursor().execute(
        """INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)
           VALUES ('car-2', %s, %s, '{|fnJ_xewCcGgO', 2)""", (first, first))
    run(db, RUNS[0])
    assert waiting_devices(db) == ["car-2"]
    session.rollback()
    db.rows("UPDATE processing_batches SET next_attempt_at = now() WHERE status = 'pending'")
    process_all(db)
    assert len({row[0] for row in paths(db)}) == 6


@pytest.mark.parametrize("index", ["stops (longitude)", "cached_polylines (end_time)"])
def test_a_table_that_is_being_indexed_puts_windows_off_without_asking_again(db, osrm, fleet, session, index):
    session.cursor().execute(f"CREATE INDEX another ON {index}")
    with FaultServer(upstream=osrm) as server:
        db.set("osrm_matcher.osrm_url", server.url)
        for statement in RUNS:
            run(db, statement)
        assert len(server.matches()) < 20
        assert db.rows("SELECT DISTINCT status, error_code, retry_count FROM processing_batches") == [("pending", "Locked", 0)]
        asked = len(server.matches())
        run(db, RUNS[0])
        assert len(server.matches()) == asked
        session.rollback()
        db.rows("UPDATE processing_batches SET next_attempt_at = now()")
        process_all(db)
    assert leftovers(db) == {}


@pytest.mark.parametrize("statement", RUNS)
def test_a_device_of_which_nothing_can_be_put_on_record_holds_up_no_other(db, fleet, statement):
    db.rows("ALTER TABLE processing_batches ADD CONSTRAINT known CHECK (device_id <> 'car-2')")
    with closing(db.connect()) as worker:
        worker.cursor().execute(statement)
        (told,) = [notice for notice in worker.notices if "car-2" in notice]
    assert told.startswith("WARNING:  could not put windows of device \"car-2\" on record: ") and "HINT" in told
    assert waiting_devices(db) == ["car-2"]
    db.rows("ALTER TABLE processing_batches DROP CONSTRAINT known")
    process_all(db)
    assert leftovers(db) == {}
