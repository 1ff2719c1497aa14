"""A page leaves a note of what was read: where it cannot, or where its commit would have to wait, it is read all the same."""

import threading
from contextlib import closing

import psycopg2
import pytest
from drives import drive, insert, process_all, recent_window
from optional import need_server_program

PAGES = ("get_device_page('bus')", "get_device_page_between('bus', now() - interval '2 h', now())", "get_fleet_page(3)")
RAISES = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON path_reads FOR EACH ROW EXECUTE FUNCTION refuse()"""
# As near to the end of them as a server lets its sessions come.
LAST_IDS = (1 << 31) - 3_000_000 + 650


@pytest.fixture
def driven(db, osrm):
    insert(db, "bus", drive(osrm, recent_window(), seconds=600))
    process_all(db)
    return db


def assert_pages_are_read(db):
    for page in PAGES:
        with closing(db.connect()) as session, session.cursor() as cursor:
            cursor.execute("SET statement_timeout = '5s'")
            cursor.execute(f"SELECT ({page})::text")
            assert "encoded_polyline" in cursor.fetchone()[0]
    assert db.value("SELECT note_read('bus', now() - interval '1 day', now())") is False


def test_somebody_has_the_notes_as_a_whole(driven):
    with closing(driven.connect(autocommit=False)) as other:
        other.cursor().execute("LOCK TABLE path_reads IN ACCESS EXCLUSIVE MODE")
        assert_pages_are_read(driven)
    assert driven.value("SELECT note_read('bus', now() - interval '1 day', now())") is True


def test_a_trigger_is_against_notes(driven):
    driven.rows(RAISES)
    assert_pages_are_read(driven)
    assert driven.value("SELECT count(*) FROM path_reads") == 0


def test_a_server_that_gives_no_transaction_ids_any_more(own_db, osrm):
    need_server_program("pg_resetwal")
    insert(own_db, "bus", drive(osrm, recent_window(), seconds=600))
    process_all(own_db)
    own_db.disconnect()
    cluster = own_db.cluster
    cluster.stop()
    segment = cluster.data / "pg_xact" / f"{LAST_IDS >> 20:04X}"
    segment.write_bytes(bytes(1 << 18))
    cluster._give(segment)
    cluster.run("pg_resetwal", "-x", LAST_IDS, "-D", cluster.data, connected=False)
    cluster.start()
    with pytest.raises(psycopg2.errors.ProgramLimitExceeded):
        for _ in range(2000):
            own_db.rows("SELECT pg_current_xact_id()")
    assert_pages_are_read(own_db)


def waits_for_a_standby(db, *statements):
    """Whether the commit of a transaction of these waits for a standby; it is let go then."""
    session = db.connect(autocommit=False)

    def work():
        for statement in statements:
            session.cursor().execute(statement)
        session.commit()

    worker = threading.Thread(target=work)
    worker.start()
    worker.join(1)
    waits = db.value("SELECT coalesce(max(wait_event), '') = 'SyncRep' FROM pg_stat_activity WHERE pid = %s",
                     (session.info.backend_pid,))
    db.rows("SELECT pg_cancel_backend(%s)", (session.info.backend_pid,))
    worker.join()
    session.close()
    return waits


@pytest.fixture
def without_standby(own_db, osrm):
    """A server whose commits wait for a standby that is away, and pages of tables that reading them cleans."""
    for device in ("bus", "tram", "van"):
        insert(own_db, device, drive(osrm, recent_window(), seconds=600))
    process_all(own_db)
    own_db.cluster.configure(synchronous_standby_names="*", synchronous_commit="remote_apply")
    own_db.cluster.reload()
    own_db.disconnect()
    own_db.wait_until("SELECT current_setting('synchronous_standby_names') = '*'")
    own_db.rows("SET synchronous_commit = 'local'; CREATE TABLE seen (what text)")
    return own_db


def test_a_synchronous_standby_is_away(without_standby):
    for device in ("bus", "tram", "van"):
        written = without_standby.value("SELECT pg_current_wal_insert_lsn()")
        assert not waits_for_a_standby(without_standby, f"SELECT get_device_page('{device}')")
        assert without_standby.value("SELECT pg_current_wal_insert_lsn() > %s", (written,)), "nothing was cleaned"
    assert not waits_for_a_standby(without_standby, "SELECT get_device_page('bus', 30)", "SELECT get_device_page('tram', 30)",
                                   "SELECT get_fleet_page(30)", "SAVEPOINT s", "SELECT note_read('x', now(), now())")
    assert without_standby.value("SELECT count(*) FROM path_reads") == 7


@pytest.mark.parametrize("statements", [
    ("SELECT get_device_page('bus')", "INSERT INTO seen VALUES ('bus')"),
    ("INSERT INTO seen VALUES ('bus')", "SELECT get_device_page('bus')"),
    ("SELECT get_device_page('bus')", "INSERT INTO seen VALUES ('bus')", "SELECT get_device_page('tram')"),
    ("INSERT INTO seen SELECT get_device_page('bus')->>'device'",),
    ("WITH written AS (INSERT INTO seen VALUES ('bus')) SELECT get_device_page('bus')",),
    ("SELECT get_device_page('bus')", "CREATE TABLE more (what text)"),
    ("DO $$ BEGIN PERFORM get_device_page('bus'); INSERT INTO seen VALUES ('bus'); END $$",),
    ("SELECT get_device_page('bus')", "COPY seen FROM PROGRAM 'echo bus'"),
    ("SELECT get_device_page('bus')", "SELECT process_pending_gps()"),
], ids=range(9))
def test_a_commit_of_more_than_notes_waits_as_ever(without_standby, statements):
    assert waits_for_a_standby(without_standby, *statements)
    assert without_standby.value("SELECT count(*) FROM path_reads WHERE device_id = 'bus'") == 1
    assert not waits_for_a_standby(without_standby, "SELECT get_device_page('van')")
