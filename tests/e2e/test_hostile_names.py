"""Nothing of ours is led astray by what other users put in its way; no address but a plain one is called."""

from contextlib import closing

import psycopg2
import pytest

from drives import drive, insert, paths, recent_window, waiting
from harness.fault_server import FaultServer
from harness.outcome import leftovers

# Look-alikes of what our code uses, each of which would show that it was reached.
TRAPS = """
    CREATE SCHEMA traps;
    CREATE TABLE traps.reached (what text);
    GRANT USAGE ON SCHEMA traps TO PUBLIC; GRANT INSERT ON traps.reached TO PUBLIC;
    CREATE FUNCTION traps.now() RETURNS timestamptz LANGUAGE sql AS
        $$ INSERT INTO traps.reached VALUES ('now'); SELECT pg_catalog.now() $$;
    CREATE FUNCTION traps.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
        $$ INSERT INTO traps.reached VALUES ('clock'); SELECT pg_catalog.clock_timestamp() $$;
    CREATE FUNCTION traps.equal(text, text) RETURNS boolean LANGUAGE sql AS
        $$ INSERT INTO traps.reached VALUES ('='); SELECT true $$;
    CREATE OPERATOR traps.= (leftarg = text, rightarg = text, function = traps.equal);
    CREATE FUNCTION traps.less(timestamptz, timestamptz) RETURNS boolean LANGUAGE sql AS
        $$ INSERT INTO traps.reached VALUES ('<'); SELECT true $$;
    CREATE OPERATOR traps.< (leftarg = timestamptz, rightarg = timestamptz, function = traps.less);
    CREATE OPERATOR traps.>= (leftarg = timestamptz, rightarg = timestamptz, function = traps.less);
    CREATE FUNCTION traps.at_most(integer, integer) RETURNS boolean LANGUAGE sql AS
        $$ INSERT INTO traps.reached VALUES ('<='); SELECT true $$;
    CREATE OPERATOR traps.<= (leftarg = integer, rightarg = integer, function = traps.at_most);
    CREATE FUNCTION traps.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS
        $$ INSERT INTO traps.reached VALUES ('unnest') RETURNING what $$;
    CREATE TABLE traps.gps_coordinates (LIKE public.gps_coordinates);
    CREATE TABLE traps.processing_batches (LIKE public.processing_batches);
    CREATE TABLE traps.cached_polylines (LIKE public.cached_polylines);
    CREATE TABLE traps.pg_class (oid oid)"""
TRAPPED = "SET search_path = traps, pg_catalog, public"
READS = ["SELECT * FROM get_device_paths('car')", "SELECT get_device_page('car', tail => true)",
         "SELECT * FROM get_path_points('car', pg_catalog.now() - interval '3 hours', pg_catalog.now())",
         "SELECT * FROM get_fleet_paths()", "SELECT get_device_geojson('car')", "SELECT * FROM worker_status()",
         "SELECT * FROM worker_alerts()", "SELECT * FROM get_device_stops('car', '-infinity', 'infinity')",
         "SELECT * FROM get_changes(pg_catalog.now() - interval '1 hour')"]
WORKS = ["SELECT * FROM process_pending_gps()", "CALL process_pending()", "CALL process_pending(5, 1)",
         "SELECT make_batches()", "SELECT * FROM match_batches(ARRAY(SELECT claim_batches()))"]


@pytest.mark.parametrize("statement", WORKS)
def test_a_run_is_not_led_astray(db, osrm, statement):
    insert(db, "car", drive(osrm, recent_window(60), 300))
    db.rows(TRAPS)
    with closing(db.connect()) as session:
        session.cursor().execute(TRAPPED)
        session.cursor().execute("CREATE TEMP TABLE gps_coordinates (LIKE public.gps_coordinates)")
        session.cursor().execute("CREATE TEMP TABLE pg_class (oid oid)")
        session.cursor().execute(statement)
    assert db.rows("SELECT DISTINCT what FROM traps.reached") == []
    if "process" in statement:
        assert leftovers(db) == {}
        assert {row[7] for row in paths(db)} == {"matched"}


@pytest.mark.parametrize("statement", READS)
def test_a_read_is_not_led_astray(db, osrm, statement):
    insert(db, "car", drive(osrm, recent_window(60), 300))
    db.rows("SELECT * FROM process_pending_gps()")
    with closing(db.connect()) as session:
        cursor = session.cursor()
        cursor.execute(statement)
        expected = cursor.fetchall()
        db.rows(TRAPS)
        cursor.execute(TRAPPED)
        cursor.execute(statement)
        if "get_device_page" not in statement and "worker" not in statement:
            assert cursor.fetchall() == expected
    assert db.rows("SELECT DISTINCT what FROM traps.reached") == []


@pytest.mark.parametrize("address", [
    "file:///etc/passwd", "ftp://127.0.0.1", "gopher://127.0.0.1:70/_x", "127.0.0.1:5000", "http://", "",
    "http://name:secret@127.0.0.1:5000", "http://127.0.0.1:5000/?a=b", "http://127.0.0.1:5000/#x",
    "unix:///var/run/docker.sock", "http://127.0.0.1:5000\r\nX: y"])
def test_only_plain_addresses_are_called(db, osrm, address):
    insert(db, "car", drive(osrm, recent_window(60), 100))
    with closing(db.connect()) as session:
        cursor = session.cursor()
        cursor.execute("SELECT set_config('osrm_matcher.osrm_url', %s, false)", (address,))
        with pytest.raises(psycopg2.Error) as caught:
            cursor.execute("SELECT * FROM process_pending_gps()")
        assert caught.value.pgcode == "22023"
        assert "secret" not in str(caught.value)
    assert waiting(db) == 20


def test_no_coordinates_and_no_answer_of_a_stranger_in_messages(db, osrm):
    """What a window's error says is short, and names no place."""
    insert(db, "car", drive(osrm, recent_window(60), 100))
    with FaultServer(upstream=osrm) as server:
        server.poison, server.poison_fault = (lambda lon, lat: lon > 1), "error_500"
        db.set("osrm_matcher.osrm_url", server.url)
        db.rows("SELECT * FROM process_pending_gps()")
    message = db.value("SELECT error_message FROM processing_batches")
    assert len(message) < 250
    assert "24.9" not in message and "/match" not in message and "127.0.0.1" not in message
