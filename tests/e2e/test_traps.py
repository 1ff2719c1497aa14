"""Where a mistake of the operator's, or an odd setting, ends with words that say what to do."""

import re
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from drives import drive, insert, recent_window, waiting
from harness import env

README = (Path(env.ROOT) / "README.md").read_text()


def hint(caught):
    return caught.value.diag.message_hint or ""


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_is_not_utf8_is_refused_with_words(cluster, encoding):
    name = f"test_{encoding.lower()}"
    with closing(cluster.connect()) as session:
        cursor = session.cursor()
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'")
        try:
            with closing(cluster.connect(name)) as odd, pytest.raises(psycopg2.errors.FeatureNotSupported) as caught:
                odd.cursor().execute("CREATE EXTENSION osrm_matcher")
            assert encoding in str(caught.value) and "UTF8" in hint(caught)
        finally:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_table_of_our_names_is_told_and_a_schema_of_its_own_helps(empty_db):
    empty_db.rows("CREATE TABLE stops (line text, name text)")
    with pytest.raises(psycopg2.errors.DuplicateTable) as caught:
        empty_db.rows("CREATE EXTENSION osrm_matcher")
    assert "stops" in str(caught.value)
    empty_db.rows(re.search(r"CREATE SCHEMA.*", hint(caught))[0])
    assert empty_db.value("SELECT count(*) FROM osrm.stops") == 0


@pytest.mark.parametrize("call", [
    "SELECT * FROM process_pending_gps(NULL)", "SELECT * FROM process_pending_gps(1, NULL)",
    "CALL process_pending(NULL)", "CALL process_pending(50, NULL)", "SELECT make_batches(NULL)",
    "SELECT claim_batches(NULL)"])
def test_null_is_no_number_of_windows_or_seconds(db, call):
    with pytest.raises(psycopg2.errors.InvalidParameterValue) as caught:
        db.rows(call)
    assert "it is null" in str(caught.value) and "default" in hint(caught)


def test_nothing_works_while_processing_is_disabled(db, osrm):
    insert(db, "car", drive(osrm, recent_window(60), 100))
    db.rows("SELECT make_batches()")
    (batch,) = db.rows("SELECT claim_batches()")[0]
    db.set("osrm_matcher.enabled", "off")
    assert db.row("SELECT * FROM match_batches(%s::uuid[])", ([batch],))["points"] == 0
    assert db.rows("SELECT * FROM claim_batches()") == []
    assert db.value("SELECT make_batches()") == 0
    assert waiting(db) == 20
    db.set("osrm_matcher.enabled", "on")
    db.rows("SELECT * FROM process_pending_gps()")
    assert waiting(db) == 0


def test_tables_of_another_version_than_the_librarys_are_told_and_reading_goes_on(db, osrm):
    insert(db, "car", drive(osrm, recent_window(60), 100))
    db.rows("UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'osrm_matcher'")
    with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState) as caught:
        db.rows("SELECT * FROM process_pending_gps()")
    assert "0.0.1" in str(caught.value) and "ALTER EXTENSION osrm_matcher UPDATE" in hint(caught)
    assert db.value("SELECT count(*) FROM get_device_tail('car')") == 1


def test_a_session_that_is_older_than_an_update_is_told_to_reconnect(db, osrm):
    """As those of a connection pool are, which have the old library."""
    db.rows("SELECT * FROM process_pending_gps()")
    insert(db, "car", drive(osrm, recent_window(60), 100))
    with closing(db.connect()) as other:
        other.cursor().execute("UPDATE pg_extension SET extversion = '9.9.9' WHERE extname = 'osrm_matcher'")
    for call in ("SELECT * FROM process_pending_gps()", "CALL process_pending()", "SELECT make_batches()"):
        with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState) as caught:
            db.rows(call)
        assert "9.9.9" in str(caught.value) and "reconnect" in hint(caught)
    assert waiting(db) == 20


def test_a_setting_that_reads_as_an_empty_text_is_its_default(db):
    with closing(db.connect()) as session:
        cursor = session.cursor()
        cursor.execute("SELECT set_config('osrm_matcher.enabled', '', false), set_config('osrm_matcher.look_back', '', false)")
        cursor.execute("SELECT enabled FROM worker_status()")
        assert cursor.fetchone() == (True,)


def test_a_schedule_is_read_whatever_a_backslash_means(empty_db):
    empty_db.set("standard_conforming_strings", "off")
    empty_db.rows("CREATE EXTENSION osrm_matcher")
    assert empty_db.value("SELECT _next_run('*/5 * * * *', '2026-01-01 00:01+00') = '2026-01-01 00:05+00'")
    assert empty_db.rows("SELECT * FROM worker_alerts()") != []


def test_keeping_all_batches_keeps_all_runs(db):
    db.rows("INSERT INTO worker_runs (started_at, finished_at) SELECT t, t FROM (SELECT now() - interval '40 days') AS old (t)")
    db.rows("SELECT * FROM delete_old(batches_older_than => NULL)")
    assert db.value("SELECT count(*) FROM worker_runs") == 1
    db.rows("SELECT * FROM delete_old()")
    assert db.value("SELECT count(*) FROM worker_runs") == 0


def test_the_readmes_first_step_works_in_a_new_session(cron_db):
    """It writes to the server's configuration, so in a cluster of its own."""
    block = next(block for block in re.findall(r"```sql\n(.*?)```", README, re.S) if "ALTER SYSTEM" in block)
    cron_db.psql("-c", "ALTER SYSTEM RESET ALL")
    cron_db.psql(input=block)
    cron_db.disconnect()
    assert cron_db.value("SELECT setting FROM pg_file_settings WHERE name = 'osrm_matcher.osrm_url' AND sourcefile LIKE '%auto.conf'") \
        == re.search(r"osrm_url = '(.*?)'", block)[1]
    assert cron_db.value("SELECT schedule FROM worker_status()") == "* * * * *"


def test_the_address_is_hidden_where_every_session_loads_the_library(own_db):
    own_db.cluster.configure(session_preload_libraries="osrm_matcher")
    own_db.cluster.reload()
    own_db.rows("CREATE ROLE anybody LOGIN")
    with closing(own_db.connect(user="anybody")) as session, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        session.cursor().execute("SHOW osrm_matcher.osrm_url")


def test_a_listener_gets_the_table_and_its_sequence_and_no_more(db):
    db.rows("DROP ROLE IF EXISTS osrm_test_listener; CREATE ROLE osrm_test_listener LOGIN")
    db.rows("SELECT grant_writer('osrm_test_listener')")
    inserting = "INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at) VALUES ('bus', 24.9, 60.1, now())"
    with closing(db.connect(user="osrm_test_listener")) as session:
        session.cursor().execute(inserting)
        for refused in ("SELECT count(*) FROM gps_coordinates", "UPDATE gps_coordinates SET processed = true",
                        "SELECT * FROM worker_status()"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                session.cursor().execute(refused)
        db.rows("SELECT revoke_writer('osrm_test_listener')")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            session.cursor().execute(inserting)
    db.rows("DROP OWNED BY osrm_test_listener; DROP ROLE osrm_test_listener")


def test_points_behind_the_look_back_are_counted_and_the_alert_says_what_to_call(db, osrm):
    insert(db, "car", drive(osrm, recent_window(60), 100))
    db.set("osrm_matcher.look_back", "30min")
    db.rows("SELECT * FROM process_pending_gps()")
    status = db.row("SELECT unprocessed_points, points_behind FROM worker_status()")
    assert status == {"unprocessed_points": 0, "points_behind": 20}
    (call,) = db.rows("SELECT hint FROM worker_alerts() WHERE problem = 'behind_look_back'")[0]
    db.rows(call)
    assert db.rows("SELECT FROM worker_alerts() WHERE problem = 'behind_look_back'") == []
    db.rows("CALL process_pending()")
    assert waiting(db) == 0
    assert db.value("SELECT points_behind FROM worker_status()") == 0


def test_what_lay_in_a_table_before_it_was_adopted_is_no_alert(db):
    db.rows("""CREATE TABLE markers (username text, coords float8[], created_at timestamptz);
               INSERT INTO markers VALUES ('bus', '{24.9,60.1}', now() - interval '9 days');
               SELECT adopt_source('markers')""")
    assert db.value("SELECT points_behind FROM worker_status()") == 0
    db.rows("UPDATE adopted_sources SET adopted_at = now() - interval '10 days'")
    assert db.value("SELECT points_behind FROM worker_status()") == 1
