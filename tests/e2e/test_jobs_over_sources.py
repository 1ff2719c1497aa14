"""A job over several tables: one that fails, goes, or comes while it is under way keeps none of the others from it."""

from contextlib import closing
from datetime import timedelta

import pytest
from drives import drive, insert, recent_window, waiting

from test_dump_restore import second_db  # noqa: F401

OLD = recent_window() - timedelta(days=5)
RANGE = "now() - interval '10 days', now() - interval '2 days'"


def make_source(db, name, devices=()):
    db.rows(f"CREATE TABLE {name} (username text, coords float8[], created_at timestamptz)")
    db.rows("SELECT * FROM adopt_source(%s)", (name,))
    for device in devices:
        db.rows(f"INSERT INTO {name} VALUES (%s, '{{24.94, 60.17}}', %s)", (device, OLD))


def names(prefix, count=20):
    return [f"{prefix}{number:02d}" for number in range(count)]


def left(db, table):
    return db.value(f"SELECT count(*) FROM {table} WHERE NOT processed")


def run(db):
    """As often as a schedule would, with what was set aside and put off due again."""
    for _ in range(3):
        db.rows("UPDATE adopted_sources SET set_aside_until = now() WHERE set_aside_until IS NOT NULL")
        db.rows("UPDATE processing_batches SET next_attempt_at = now() WHERE status = 'pending'")
        db.rows("CALL process_pending(20)")


def statuses(db):
    return [status for status, in db.rows("SELECT status FROM get_jobs() ORDER BY job_id")]


def test_a_backfill_does_all_other_tables_and_is_not_done_before_the_one_that_fails(db):
    for table in ("first", "broken", "last"):
        make_source(db, table, names(table[0], 3))
    insert(db, "own", [(24.94, 60.17, OLD)])
    db.rows("ALTER TABLE broken RENAME created_at TO moment")
    db.rows(f"SELECT start_backfill({RANGE})")
    run(db)
    assert [waiting(db), left(db, "first"), left(db, "last")] == [0, 0, 0]
    assert statuses(db) == ["active"]
    db.rows("ALTER TABLE broken RENAME moment TO created_at")
    run(db)
    assert left(db, "broken") == 0
    assert statuses(db) == ["done"]


def test_a_table_that_fails_in_the_middle_is_gone_on_with_when_it_is_back(db):
    """No other is left, so the job keeps its place in it."""
    make_source(db, "first", names("d"))
    db.rows(f"SELECT start_backfill({RANGE})")
    db.rows("SELECT * FROM process_pending_gps(10)")
    place = db.row("SELECT cursor_source::text, cursor_device, devices_done FROM matching_jobs")
    assert place["cursor_source"] == "first" and 0 < place["devices_done"] < 20
    db.rows("ALTER TABLE first RENAME created_at TO moment")
    run(db)
    assert db.row("SELECT cursor_source::text, cursor_device, devices_done FROM matching_jobs") == place
    db.rows("ALTER TABLE first RENAME moment TO created_at")
    run(db)
    assert left(db, "first") == 0
    assert db.row("SELECT status, devices_done FROM matching_jobs") == {"status": "done", "devices_done": 20}


def test_a_rematch_that_cannot_begin_holds_up_no_later_job(db, osrm):
    insert(db, "car", drive(osrm, OLD, 300))
    db.rows("UPDATE gps_coordinates SET processed = true")
    insert(db, "bus", drive(osrm, OLD, 300, seed=3))
    make_source(db, "broken", ["x"])
    db.rows("ALTER TABLE broken RENAME created_at TO moment")
    db.rows(f"SELECT start_rematch({RANGE}, '{{car}}')")
    db.rows(f"SELECT start_backfill({RANGE}, '{{bus}}')")
    run(db)
    assert waiting(db) == 0
    assert db.rows("SELECT DISTINCT device_id FROM cached_polylines") == [("bus",)]
    assert statuses(db)[0] == "active"
    db.rows("ALTER TABLE broken RENAME moment TO created_at")
    run(db)
    assert statuses(db) == ["done", "done"]
    assert db.rows("SELECT DISTINCT device_id FROM cached_polylines ORDER BY 1") == [("bus",), ("car",)]


@pytest.mark.parametrize("end", ["SELECT release_source('first')", "DROP TABLE first"])
def test_a_table_that_goes_while_a_job_is_in_it_takes_no_devices_of_the_next_with_it(db, end):
    make_source(db, "first", names("m"))
    make_source(db, "second", names("d"))  # of a name that comes before those
    db.rows(f"SELECT start_backfill({RANGE})")
    db.rows("SELECT * FROM process_pending_gps(10)")
    assert db.value("SELECT cursor_device FROM matching_jobs") > "m"
    db.rows(end)
    run(db)
    assert left(db, "second") == 0
    assert statuses(db) == ["done"]


def test_a_table_that_goes_when_a_job_has_passed_it_takes_no_other_with_it(db):
    make_source(db, "first", names("m", 3))
    make_source(db, "second", names("s"))
    make_source(db, "third", names("t", 3))
    db.rows(f"SELECT start_backfill({RANGE})")
    db.rows("SELECT * FROM process_pending_gps(10)")
    assert db.value("SELECT cursor_source FROM matching_jobs") == "second"
    db.rows("DROP TABLE first")
    run(db)
    assert [left(db, "second"), left(db, "third")] == [0, 0]
    assert statuses(db) == ["done"]


def test_a_table_that_is_ready_while_a_job_is_in_another_is_done_too(db):
    """The older one, whose index is made last."""
    db.rows("CREATE TABLE first (username text, coords float8[], created_at timestamptz)")
    db.rows("INSERT INTO first SELECT 'c' || n %% 20, '{24.94, 60.17}', %s FROM generate_series(1, 70000) n", (OLD,))
    statements = [row[0] for row in db.rows("SELECT statement FROM adopt_source('first') WHERE NOT done")]
    assert statements
    make_source(db, "second", names("d"))
    db.rows(f"SELECT start_backfill({RANGE})")
    db.rows("SELECT * FROM process_pending_gps(10)")
    assert db.value("SELECT cursor_source FROM matching_jobs") == "second"
    for statement in statements:
        db.rows(statement)
    db.rows("DELETE FROM first WHERE username <> 'c1'")
    run(db)
    assert [left(db, "first"), left(db, "second")] == [0, 0]
    assert statuses(db) == ["done"]


def test_a_job_goes_on_in_a_restored_dump(empty_db, second_db):  # noqa: F811
    """Tables have other numbers there, and another order."""
    empty_db.rows("CREATE EXTENSION osrm_matcher")
    second_db.rows("CREATE TABLE another (); CREATE TABLE one_more ()")
    make_source(empty_db, "gone", ["a"])
    make_source(empty_db, "second", names("m"))
    make_source(empty_db, "first", names("d"))
    empty_db.rows(f"SELECT start_backfill({RANGE})")
    empty_db.rows("SELECT * FROM process_pending_gps(10)")
    before = empty_db.row("SELECT cursor_source::text, cursor_device FROM matching_jobs")
    assert before["cursor_source"] == "second"
    empty_db.rows("DROP TABLE gone")
    second_db.psql("-q", input=empty_db.cluster.run("pg_dump", "-d", empty_db.name).stdout)
    assert second_db.row("SELECT cursor_source::text, cursor_device FROM matching_jobs") == before
    run(second_db)
    assert [left(second_db, "first"), left(second_db, "second")] == [0, 0]
    assert statuses(second_db) == ["done"]


def test_a_job_that_somebody_else_moves_on_is_left_to_them(db):
    make_source(db, "first", names("d", 2))
    db.rows(f"SELECT start_backfill({RANGE})")
    with closing(db.connect(autocommit=False)) as session, closing(session.cursor()) as cursor:
        cursor.execute("SELECT FROM matching_jobs FOR UPDATE")
        assert db.value("SELECT _advance_jobs(100)") is False
        session.rollback()
    assert db.value("SELECT _advance_jobs(100)") is True
    assert db.value("SELECT _advance_jobs(100)") is False
