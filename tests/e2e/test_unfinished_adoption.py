"""Adoption that was broken off: what is left of it can be had again, and is done to its end."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest

from drives import drive, insert, process_all, recent_window
from test_adoption import fill_markers, make_markers
from test_partitions import COLUMNS, INDEXES, LINES, make_large, make_tree

VALID = "SELECT bool_and(indisvalid), count(*) FROM pg_index WHERE indrelid = %s::regclass AND indexrelid::regclass::text LIKE '%%osrm%%'"
LEFT = "SELECT statement FROM finish_adoption('markers') WHERE NOT done"


def statements(db):
    return [statement for statement, in db.rows(LEFT)]


def alert(db, wanted):
    """The statement that is the hint of the only alert about adoption."""
    hint, = [hint for _, problem, _, hint in db.rows("SELECT * FROM worker_alerts()") if problem == wanted]
    return hint.removesuffix(r" \gexec")


def finish(db):
    """As the alert says."""
    db.rows("UPDATE adopted_sources SET adopted_at = now() - interval '2 hours'")
    for statement, in db.rows(alert(db, "adoption_unfinished")):
        db.rows(statement)
    assert statements(db) == []
    db.rows("CALL process_pending(10)")
    assert db.value("SELECT ready FROM adopted_sources")


def break_off(db, statement):
    """Ends the building of an index in its middle, for it waits for a transaction that writes to the table."""
    with (closing(db.connect(autocommit=False)) as writer, closing(db.connect()) as builder, ThreadPoolExecutor() as pool):
        writer.cursor().execute("INSERT INTO markers (username) VALUES ('late')")
        build = pool.submit(builder.cursor().execute, statement)
        pid = builder.info.backend_pid
        db.wait_until(f"SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {pid}")
        with pytest.raises(psycopg2.errors.ObjectInUse, match=f"by process {pid}"):
            db.rows("SELECT * FROM finish_adoption('markers')")
        db.rows(f"SELECT pg_cancel_backend({pid})")
        assert isinstance(build.exception(), psycopg2.errors.QueryCanceled)


def check_paths(db, osrm):
    fixes = drive(osrm, recent_window(), seconds=300)
    insert(db, "own", fixes)
    fill_markers(db, "car", fixes)
    process_all(db)
    assert db.rows(LINES, ("car",)) == db.rows(LINES, ("own",)) != []


def test_a_large_table_whose_indexes_were_broken_off(db, osrm):
    make_markers(db)
    make_large(db)
    first, *_ = [s for s, in db.rows("SELECT statement FROM adopt_source('markers') WHERE NOT done")]
    break_off(db, first)
    drop, create, *others = statements(db)
    assert drop == "DROP INDEX CONCURRENTLY public.markers_osrm_unprocessed" and create == first and len(others) == 2
    finish(db)
    assert db.rows(VALID, ("markers",)) == [(True, 3)]
    check_paths(db, osrm)


def test_partitions_that_were_not_reached_and_one_that_was_made_meanwhile(db, osrm):
    db.rows(f"CREATE TABLE markers ({COLUMNS}) PARTITION BY LIST (username)")
    for user in ["u1", "u2", "late", "u3"]:
        db.rows(f"CREATE TABLE markers_{user} PARTITION OF markers FOR VALUES IN ('{user}')")
        db.rows(f"INSERT INTO markers (username, created_at) SELECT '{user}', '2020-01-01' FROM generate_series(1, 30000)")
    steps = [s for s, in db.rows("SELECT statement FROM adopt_source('markers') WHERE NOT done")]
    late = [s for s in steps if "markers_late" in s]
    others = [s for s in steps if s not in late]
    assert len(late) == 4 and len(others) == 12
    for statement in others[:6]:  # one partition, and two indexes of another
        db.rows(statement)
    break_off(db, late[0])
    db.rows("CREATE TABLE markers_any PARTITION OF markers DEFAULT")
    left = statements(db)
    drop = "DROP INDEX CONCURRENTLY public.markers_late_osrm_device_time"
    assert [s for s in left if "markers_late" in s] == [drop, *late]
    assert [s for s in left if "markers_late" not in s] == others[6:]
    finish(db)
    assert db.value(INDEXES) == 15
    check_paths(db, osrm)


def test_a_partition_made_between_an_adoption_and_the_next_one_has_its_indexes_from_the_table(db):
    make_tree(db)
    make_large(db)
    db.rows("SELECT adopt_source('markers')")
    db.rows("ALTER TABLE markers DETACH PARTITION markers_now; CREATE TABLE markers_new PARTITION OF markers DEFAULT")
    db.rows("DROP EXTENSION osrm_matcher; CREATE EXTENSION osrm_matcher")
    for statement, in db.rows("SELECT statement FROM adopt_source('markers') WHERE NOT done"):
        db.rows(statement)
    assert statements(db) == []
    assert db.rows("SELECT count(*), bool_and(indisvalid) FROM pg_index WHERE indrelid = 'markers_new'::regclass") == [(3, True)]


def test_an_index_that_is_missing_from_a_table_in_use(db):
    make_markers(db)
    db.rows("SELECT adopt_source('markers')")
    assert statements(db) == []
    db.rows("DROP INDEX markers_osrm_waiting")
    create = "CREATE INDEX CONCURRENTLY markers_osrm_waiting ON public.markers (created_at) WHERE processed::int = 0"
    assert statements(db) == [create]
    with closing(db.connect()) as builder, pytest.raises(psycopg2.errors.QueryCanceled), closing(db.connect(autocommit=False)) as writer:
        writer.cursor().execute("INSERT INTO markers (username) VALUES ('late')")
        builder.cursor().execute("SET statement_timeout = '1s'")
        builder.cursor().execute(create)
    assert [statement for statement, in db.rows(alert(db, "adoption_undone"))] == [
        "DROP INDEX CONCURRENTLY public.markers_osrm_waiting", create]


def test_nothing_to_finish_is_said(db):
    make_markers(db)
    with pytest.raises(psycopg2.errors.UndefinedObject, match="markers is not adopted"):
        db.rows("SELECT * FROM finish_adoption('markers')")
    make_large(db)
    db.rows("SELECT adopt_source('markers')")
    with pytest.raises(psycopg2.errors.DuplicateObject) as error:
        db.rows("SELECT adopt_source('markers')")
    assert "finish_adoption('public.markers')" in error.value.diag.message_hint
