"""What a run does last, its row in the log and the notes of what was read, takes back nothing of what it has done."""

from contextlib import closing

import pytest
from drives import drive, insert, process_all, recent_window, waiting

REFUSE = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;"
SWALLOW = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
BEFORE = "CREATE TRIGGER refuse BEFORE {} FOR EACH ROW EXECUTE FUNCTION refuse()"
DEFERRED = ("CREATE CONSTRAINT TRIGGER refuse AFTER {} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()")
CALLS = ["CALL process_pending()", "CALL process_pending(50, 1)", "SELECT process_pending_gps()"]

AGAINST_READS = {
    "trigger": REFUSE + BEFORE.format("UPDATE OF last_accessed ON cached_polylines"),
    "deferred": REFUSE + DEFERRED.format("UPDATE OF last_accessed ON cached_polylines"),
    "constraint": "ALTER TABLE cached_polylines ADD CHECK (device_id <> 'bus') NOT VALID",
    "rule": "CREATE TABLE log (device_id text);"
            "CREATE RULE also AS ON UPDATE TO cached_polylines DO ALSO INSERT INTO log VALUES (NEW.device_id)",
}
AGAINST_RUNS = {
    "trigger": REFUSE + BEFORE.format("INSERT OR UPDATE ON worker_runs"),
    "deferred": REFUSE + DEFERRED.format("INSERT OR UPDATE ON worker_runs"),
    "swallows": SWALLOW + BEFORE.format("INSERT OR UPDATE ON worker_runs"),
    "constraint": "ALTER TABLE worker_runs ADD CHECK (points < 0) NOT VALID",
}


def said_by(db, call):
    """The warnings of a call, which has to succeed."""
    with closing(db.connect()) as session:
        session.cursor().execute(call)
        return [notice for notice in session.notices if notice.startswith("WARNING")]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("against", AGAINST_READS)
def test_notes_that_cannot_be_stored(db, osrm, against, call):
    insert(db, "bus", drive(osrm, recent_window(90), seconds=300))
    process_all(db)
    db.rows("UPDATE cached_polylines SET last_accessed = now() - interval '1 day'")
    db.rows(AGAINST_READS[against])
    db.rows("""SELECT get_device_page('bus');
               INSERT INTO path_reads VALUES ('old', now(), now(), now() - interval '2 days')""")
    insert(db, "tram", drive(osrm, recent_window(), seconds=900))
    warnings = said_by(db, call)
    assert any("could not store which paths were read" in warning and "HINT" in warning for warning in warnings)
    # PostgreSQL writes nothing into a table with such a rule that might be there already.
    assert waiting(db) == (180 if against == "rule" else 0)
    assert db.value("SELECT count(*) FROM worker_runs WHERE finished_at > now() - interval '10 s'") >= 1
    assert db.rows("SELECT device_id, stored FROM path_reads") == [("bus", False)]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("against", AGAINST_RUNS)
def test_a_run_that_cannot_be_put_on_record(db, osrm, against, call):
    db.rows(AGAINST_RUNS[against])
    for device in ("bus", "tram"):
        insert(db, device, drive(osrm, recent_window(), seconds=900))
    warnings = said_by(db, call)
    assert waiting(db) == 0
    assert db.value("SELECT count(DISTINCT device_id) FROM cached_polylines") == 2
    assert db.value("SELECT count(*) FROM worker_runs") == 0
    if against != "swallows":
        assert any("could not put the run on record" in warning and "HINT" in warning for warning in warnings)
