"""Keys and triggers that are put off to the end of a transaction, as Django makes all keys: what one of them is against is
set aside, and the others go on."""

from contextlib import closing

import psycopg2
import pytest

from drives import drive, insert, process_all, recent_window, waiting
from test_adoption import fill_markers, make_markers

START = recent_window(60)
RUNS = ["CALL process_pending(20)", "SELECT * FROM process_pending_gps()"]
DEFERRED = "DEFERRABLE INITIALLY DEFERRED"
REFUSE = f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN IF {{condition}} THEN RAISE 'not this one'; END IF; RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER refuse AFTER {{event}} ON {{table}} {DEFERRED} FOR EACH ROW EXECUTE FUNCTION refuse()"""


def drives(osrm, seed=1):
    return drive(osrm, START, 300, seed=seed)


def stands(osrm):
    return [(24.94, 60.17, time) for _, _, time in drives(osrm)]


def waiting_devices(db):
    return [name for name, in db.rows("SELECT DISTINCT device_id FROM gps_coordinates WHERE NOT processed ORDER BY 1")]


def put_off(db):
    return db.rows("SELECT DISTINCT device_id, status, error_code, retry_count FROM processing_batches WHERE status <> 'completed'")


def take_all(db):
    db.rows("UPDATE processing_batches SET next_attempt_at = now() WHERE status = 'pending'")
    process_all(db)
    assert db.value("SELECT count(*) FROM processing_batches WHERE status <> 'completed'") == 0


@pytest.mark.parametrize("statement", RUNS)
@pytest.mark.parametrize("table, before, after", [("cached_polylines", drives, stands), ("stops", stands, drives)])
def test_a_row_that_a_key_refers_to_holds_up_its_device_alone(db, osrm, statement, table, before, after):
    insert(db, "bad", before(osrm))
    process_all(db)
    db.rows(f"CREATE TABLE favourites (row bigint REFERENCES {table} {DEFERRED}); INSERT INTO favourites SELECT id FROM {table};"
            "DELETE FROM gps_coordinates")
    insert(db, "bad", after(osrm))
    for number in range(3):
        insert(db, f"good-{number}", drives(osrm, number))
    db.rows(statement)
    assert waiting_devices(db) == ["bad"]
    assert put_off(db) == [("bad", "pending", "NotWritten", 1)]
    assert "favourites" in db.value("SELECT message FROM worker_alerts() WHERE problem = 'windows_hindered'")
    db.rows("DELETE FROM favourites")
    take_all(db)


@pytest.mark.parametrize("statement", RUNS)
@pytest.mark.parametrize("when", ["", DEFERRED])
def test_a_batch_that_a_key_refers_to_holds_up_its_device_alone_when_windows_get_another_length(db, osrm, statement, when):
    for seed, device in enumerate(["bad", "good"]):
        insert(db, device, drives(osrm, seed))
    process_all(db)
    db.rows(f"""CREATE TABLE notes (batch uuid REFERENCES processing_batches {when});
                INSERT INTO notes SELECT batch_id FROM processing_batches WHERE device_id = 'bad'""")
    db.set("osrm_matcher.window", "15min")
    for seed, device in enumerate(["bad", "good"]):
        insert(db, device, drives(osrm, seed + 5)[:5])
    db.rows(statement)
    assert waiting_devices(db) == ["bad"]
    db.rows("DELETE FROM notes")
    take_all(db)
    assert db.value("SELECT count(DISTINCT end_time - start_time) FROM processing_batches") == 1


@pytest.mark.parametrize("statement", RUNS)
@pytest.mark.parametrize("when", ["", DEFERRED])
def test_a_batch_that_a_key_refers_to_holds_up_a_job_and_no_live_work(db, osrm, statement, when):
    insert(db, "old", drives(osrm))
    process_all(db)
    db.rows(f"CREATE TABLE notes (batch uuid REFERENCES processing_batches {when}); INSERT INTO notes SELECT batch_id FROM processing_batches")
    db.set("osrm_matcher.window", "15min")
    db.rows("SELECT start_rematch(now() - interval '3 hours', now())")
    insert(db, "new", drives(osrm, 2))
    with closing(db.connect()) as session:
        session.cursor().execute(statement)
        (notice,) = [notice for notice in session.notices if "WARNING" in notice]
    assert "backfills and re-matches" in notice and "stop_job()" in notice
    assert waiting(db) == 0
    db.rows("DELETE FROM notes")
    process_all(db)
    assert db.value("SELECT status FROM get_jobs()") == "done"


@pytest.mark.parametrize("statement", RUNS)
@pytest.mark.parametrize("table", ["cached_polylines", "processing_batches"])
def test_a_device_that_a_key_of_ours_does_not_know_waits_alone(db, osrm, statement, table):
    db.rows(f"""CREATE TABLE vehicles (plate text PRIMARY KEY); INSERT INTO vehicles VALUES ('good');
                ALTER TABLE {table} ADD FOREIGN KEY (device_id) REFERENCES vehicles {DEFERRED}""")
    insert(db, "bad", drives(osrm, 1))
    insert(db, "good", drives(osrm, 2))
    db.rows(statement)
    assert waiting_devices(db) == ["bad"]
    # Where not even the batch can be written, a WARNING says so.
    assert put_off(db) == [] if table == "processing_batches" else [("bad", "pending", "NotWritten", 1)]
    db.rows("INSERT INTO vehicles VALUES ('bad')")
    take_all(db)


@pytest.mark.parametrize("statement", RUNS)
@pytest.mark.parametrize("table", ["gps_coordinates", "markers"])
def test_a_trigger_on_points_holds_up_their_device_alone(db, osrm, statement, table):
    name = {"gps_coordinates": "device_id", "markers": "username"}[table]
    make_markers(db)
    db.rows("SELECT adopt_source('markers')")
    db.rows(REFUSE.format(condition=f"NEW.{name} = 'bad'", event="UPDATE", table=table))
    for device in "bad", "good":
        if table == "markers":
            fill_markers(db, device, drives(osrm))
        else:
            insert(db, device, drives(osrm))
    db.rows(statement)
    assert db.rows(f"SELECT DISTINCT {name} FROM {table} WHERE NOT processed") == [("bad",)]
    assert put_off(db) == [("bad", "pending", "NotWritten", 1)]
    assert db.rows("SELECT relation FROM adopted_sources WHERE set_aside_at IS NOT NULL") == []
    db.rows(f"DROP TRIGGER refuse ON {table}")
    take_all(db)


def test_so_does_one_on_what_a_trigger_of_ours_writes_which_finds_the_names_of_its_schema(db, osrm):
    db.rows(f"""CREATE SCHEMA app CREATE TABLE vehicles (plate text PRIMARY KEY) CREATE TABLE feed (plate text);
                INSERT INTO app.vehicles VALUES ('good');
                CREATE FUNCTION app.copy() RETURNS trigger LANGUAGE plpgsql AS $$
                    BEGIN INSERT INTO app.feed VALUES (NEW.device_id); RETURN NULL; END $$;
                CREATE TRIGGER copy AFTER INSERT ON cached_polylines FOR EACH ROW EXECUTE FUNCTION app.copy();
                CREATE FUNCTION app.look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    IF NOT EXISTS (SELECT FROM vehicles WHERE plate = NEW.plate) THEN RAISE 'no such vehicle'; END IF;
                    RETURN NULL; END $$;
                CREATE CONSTRAINT TRIGGER look AFTER INSERT ON app.feed {DEFERRED} FOR EACH ROW EXECUTE FUNCTION app.look()""")
    insert(db, "bad", drives(osrm, 1))
    insert(db, "good", drives(osrm, 2))
    db.rows(RUNS[0])
    assert waiting_devices(db) == ["bad"]
    assert db.rows("SELECT DISTINCT error_message FROM processing_batches WHERE device_id = 'bad'") == [("no such vehicle",)]


def test_what_the_caller_has_put_off_stays_so(db, osrm):
    """Until it is true; and what comes after the run is put off as ever."""
    insert(db, "bad", drives(osrm))
    process_all(db)
    (path,) = db.row("SELECT id FROM cached_polylines LIMIT 1").values()
    db.rows(f"""CREATE TABLE drivers (name text PRIMARY KEY);
                CREATE TABLE trips (driver text REFERENCES drivers {DEFERRED});
                CREATE TABLE favourites (row bigint REFERENCES cached_polylines {DEFERRED});
                CREATE TABLE others (row bigint REFERENCES stops {DEFERRED})""")
    insert(db, "good", drives(osrm, 2))
    with closing(db.connect(autocommit=False)) as session, closing(session.cursor()) as cursor:
        cursor.execute("INSERT INTO trips VALUES ('Ann'); INSERT INTO favourites VALUES (-1)")
        for seed in 3, 4:
            cursor.execute("SELECT windows_completed, windows_deferred FROM process_pending_gps()")
            assert cursor.fetchone()[1] == 0
        assert waiting(db) > 0, "not yet committed"
        cursor.execute("INSERT INTO others VALUES (-1)")
        cursor.execute("INSERT INTO drivers VALUES ('Ann'); UPDATE favourites SET row = %s; DELETE FROM others", (path,))
        session.commit()
        assert waiting(db) == 0
        cursor.execute("INSERT INTO favourites VALUES (-1)")
        with pytest.raises(psycopg2.errors.ForeignKeyViolation):
            session.commit()


@pytest.fixture
def old(db):
    db.rows("""INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)
               SELECT 'car', s, s + interval '5 min', '_p~iF~ps|U_ulLnnqC', 2
                 FROM generate_series(now() - interval '40 days', now() - interval '39 days', '1 h') s;
               INSERT INTO stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count)
               SELECT device_id, start_time + interval '5 min', end_time + interval '5 min', 24.9, 60.1, 2 FROM cached_polylines""")
    return db


def test_upkeep_does_without_what_a_trigger_is_against(old):
    old.rows(REFUSE.format(condition="true", event="DELETE", table="cached_polylines"))
    with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState) as caught:
        old.rows("CALL upkeep()")
    assert "delete old paths: not this one" in str(caught.value)
    assert old.rows("SELECT count(*) > 0, (SELECT count(*) FROM stops) FROM cached_polylines") == [(True, 0)]


@pytest.mark.parametrize("table", ["cached_polylines", "stops", "processing_batches"])
def test_upkeep_passes_over_what_a_key_refers_to(old, table):
    old.rows("""INSERT INTO processing_batches (device_id, start_time, end_time, status)
                SELECT 'idle', start_time, end_time, 'completed' FROM cached_polylines""")
    key = "batch_id" if table == "processing_batches" else "id"
    old.rows(f"CREATE TABLE favourites AS SELECT min({key}::text)::{'uuid' if key == 'batch_id' else 'bigint'} AS row FROM {table};"
             f"ALTER TABLE favourites ADD FOREIGN KEY (row) REFERENCES {table} ({key}) {DEFERRED}")
    old.rows("CALL upkeep()")
    tables = ["cached_polylines", "stops", "processing_batches"]
    assert [old.value(f"SELECT count(*) FROM {name}") for name in tables] == [int(name == table) for name in tables]
