"""The table of points is moved, renamed or altered by somebody: runs and alerts say so, and what to do."""

import psycopg2
import pytest

from drives import drive, insert, process_all, recent_window, waiting

START = recent_window(60)
MOVED = {
    "to another schema": ("CREATE SCHEMA fleet; ALTER TABLE gps_coordinates SET SCHEMA fleet",
                          "public.gps_coordinates is not there: it has become fleet.gps_coordinates"),
    "to a schema with quotes": ('CREATE SCHEMA "My Fleet"; ALTER TABLE gps_coordinates SET SCHEMA "My Fleet"',
                                'it has become "My Fleet".gps_coordinates'),
    "renamed": ("ALTER TABLE gps_coordinates RENAME TO points", "it has become public.points"),
    "both": ("CREATE SCHEMA fleet; ALTER TABLE gps_coordinates SET SCHEMA fleet; ALTER TABLE fleet.gps_coordinates RENAME TO points",
             "it has become fleet.points"),
    "with a view in its place": ("ALTER TABLE gps_coordinates RENAME TO points; CREATE VIEW gps_coordinates AS SELECT * FROM points",
                                 "it has become public.points"),
}
ALTERED = {
    "a column that is gone": ("ALTER TABLE gps_coordinates DROP COLUMN accuracy", "accuracy is gone", "accuracy double precision",
                              "ALTER TABLE gps_coordinates ADD COLUMN accuracy double precision"),
    "a column that was renamed": ("ALTER TABLE gps_coordinates RENAME recorded_at TO at", "recorded_at is gone", "recorded_at timestamptz",
                                  "ALTER TABLE gps_coordinates RENAME at TO recorded_at"),
    "local times": ("ALTER TABLE gps_coordinates ALTER recorded_at TYPE timestamp", "recorded_at is timestamp without time zone",
                    "recorded_at timestamptz", "ALTER TABLE gps_coordinates ALTER recorded_at TYPE timestamptz"),
}


@pytest.fixture
def waiting_db(db, osrm):
    insert(db, "car", drive(osrm, START, 300))
    return db


def told(db, words):
    """What both a run and an alert say, and the hint."""
    for call in ("SELECT * FROM worker_status()", "SELECT * FROM process_pending_gps()", "CALL process_pending(10)"):
        with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState) as caught:
            db.rows(call)
        assert words in str(caught.value)
    diagnosis = caught.value.diag
    assert db.rows("SELECT * FROM worker_alerts()") == [
        ("critical", "points_unreadable", diagnosis.message_primary, diagnosis.message_hint)]
    return diagnosis.message_hint


def goes_on(db):
    assert db.rows("SELECT * FROM worker_alerts() WHERE problem = 'points_unreadable'") == []
    assert waiting(db) == 60
    process_all(db)
    assert db.value("SELECT count(*) FROM get_device_paths('car')") == 1


@pytest.mark.parametrize("how", MOVED)
def test_a_table_that_was_moved_is_told_of_and_the_hint_brings_it_back(waiting_db, how):
    statement, words = MOVED[how]
    waiting_db.rows(statement)
    hint = told(waiting_db, words)
    if "view" in how:
        waiting_db.rows("DROP VIEW gps_coordinates")
    waiting_db.rows(hint)
    goes_on(waiting_db)


@pytest.mark.parametrize("how", ALTERED)
def test_a_column_that_is_not_what_it_was_is_told_of(waiting_db, how):
    statement, words, hint, remedy = ALTERED[how]
    waiting_db.rows(statement)
    assert hint in told(waiting_db, words)
    waiting_db.rows(remedy)
    goes_on(waiting_db)


@pytest.mark.parametrize("change", [
    "ALTER longitude TYPE real, ALTER latitude TYPE real", "ALTER longitude TYPE numeric, ALTER latitude TYPE numeric",
    "ALTER device_id TYPE varchar(64)", "ALTER accuracy TYPE real, ALTER course TYPE smallint, ALTER speed TYPE numeric"])
def test_types_that_serve_as_well_are_in_nobodys_way(waiting_db, change):
    waiting_db.rows(f"ALTER TABLE gps_coordinates {change}")
    assert waiting_db.value("SELECT count(*) FROM get_device_tail('car')") == 1
    assert waiting_db.value("SELECT count(*) FROM get_device_fixes('car', %s, now())", (START,)) == 60
    assert len(waiting_db.value("SELECT get_device_page('car', tail => true)")["paths"]) == 1
    goes_on(waiting_db)
