"""A clock that was ahead for a while, as of a machine that wakes up: what was put off then does not wait until that time comes."""

import os
from contextlib import closing

import pytest
from drives import drive, insert, process_all, recent_window, waiting
from harness import env
from harness.clock import Clock
from harness.database import Database

DAYS = 3 * 86_400
REFUSE = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF current_setting('fleet.refuses', true) = 'on' THEN RAISE EXCEPTION 'not today'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON gps_coordinates FOR EACH ROW EXECUTE FUNCTION refuse()"""


@pytest.fixture
def clocked(new_cluster, osrm):
    """A database whose server's clock can be put forward and back."""
    # The server, which goes by another user, gets there.
    file = env.CLUSTERS / f"clock-{os.getpid()}"
    clock = Clock(file)
    with new_cluster("clocked", osrm.url, clock=clock) as cluster:
        database = Database(cluster, "postgres")
        database.rows("CREATE EXTENSION osrm_matcher")
        yield database, clock
        database.disconnect()
    file.unlink()


def put(clock, db, seconds):
    """A session that is open meanwhile would have its timers by the clock that was."""
    db.disconnect()
    clock.forward(seconds)
    assert abs(db.value("SELECT extract(epoch FROM clock_timestamp())::float8") - clock.now()) < 60


def refuse(db, call):
    with closing(db.connect()) as session:
        session.cursor().execute("SET fleet.refuses = 'on'")
        session.cursor().execute(call)


def test_windows_that_were_put_off_or_taken_by_hand(clocked, osrm):
    db, clock = clocked
    db.rows(REFUSE)
    put(clock, db, DAYS)
    insert(db, "old", drive(osrm, recent_window(60), seconds=300))
    db.rows("SELECT start_backfill(now() - interval '10 days', now())")
    refuse(db, "CALL process_pending()")
    insert(db, "taken", drive(osrm, recent_window(60), seconds=300))
    db.rows("SELECT start_backfill(now() - interval '10 days', now(), '{taken}')")
    db.rows("SELECT _advance_jobs(100)")
    assert len(db.rows("SELECT claim_batches()")) > 0
    assert db.value("SELECT count(*) FROM processing_batches WHERE next_attempt_at > now() - interval '1 day'") > 1
    put(clock, db, -DAYS)
    process_all(db)
    assert db.value("SELECT count(DISTINCT device_id) FROM cached_polylines") == 2
    assert db.value("SELECT count(*) FROM processing_batches WHERE status <> 'completed'") == 0


def test_a_table_that_was_set_aside(clocked, osrm):
    db, clock = clocked
    db.rows("CREATE TABLE markers (id serial PRIMARY KEY, username text, coords float8[], created_at timestamptz)")
    db.rows("SELECT * FROM adopt_source('markers')")
    for lon, lat, at in drive(osrm, recent_window(60), seconds=300):
        db.rows("INSERT INTO markers (username, coords, created_at) VALUES ('bus', ARRAY[%s, %s], %s)", (lon, lat, at))
    put(clock, db, DAYS)
    db.rows("ALTER TABLE markers RENAME created_at TO made_at")
    db.rows("CALL process_pending()")
    assert db.value("SELECT set_aside_until > now() FROM adopted_sources")
    put(clock, db, -DAYS)
    db.rows("ALTER TABLE markers RENAME made_at TO created_at")
    db.rows("CALL process_pending()")
    assert db.value("SELECT reason FROM adopted_sources") is None
    assert db.value("SELECT count(*) FROM markers WHERE NOT processed") == 0


def test_what_is_put_off_by_a_right_clock_stays_so(db, osrm):
    db.rows(REFUSE)
    insert(db, "bus", drive(osrm, recent_window(), seconds=600))
    refuse(db, "CALL process_pending()")
    db.rows("CALL process_pending()")
    assert waiting(db) == 120
    assert db.value("SELECT min(next_attempt_at) > now() AND max(retry_count) = 1 FROM processing_batches")
