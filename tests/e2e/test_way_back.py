"""How one gets rid of the extension without losing what it made."""

from contextlib import closing

import psycopg2
import pytest
from drives import drive, insert, paths, process_all, recent_window


def test_one_setting_disables_processing(db, osrm):
    db.set("osrm_matcher.enabled", "off")
    insert(db, "bus", drive(osrm, recent_window(), seconds=300))
    assert db.value("SELECT points FROM process_pending_gps()") == 0
    db.set("osrm_matcher.enabled", "on")
    process_all(db)


def test_paths_stay_as_ordinary_tables_when_the_extension_goes(db, osrm):
    insert(db, "bus", drive(osrm, recent_window(), seconds=600))
    process_all(db)
    before = paths(db)
    db.rows("CREATE SCHEMA kept")
    connection = db.connect(autocommit=False)
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT * FROM release_all()")
        cursor.execute("SELECT * FROM keep_paths('kept')")
        cursor.execute("DROP EXTENSION osrm_matcher")
        connection.commit()
    finally:
        connection.close()
    db.rows("SET search_path = kept")
    assert paths(db) == before != []
    db.rows("""INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)
               VALUES ('bus', now(), now(), '_p~iF~ps|U_ulLnnqC', 2)""")
    db.rows("SET search_path = public")
    db.rows("CREATE EXTENSION osrm_matcher")
    assert paths(db) == []


@pytest.mark.parametrize("schema", ["public", "pg_catalog", "information_schema", "pg_toast"])
def test_the_tables_must_go_elsewhere(db, schema):
    with pytest.raises(psycopg2.errors.InvalidParameterValue):
        db.rows("SELECT keep_paths(%s)", (schema,))
    assert db.rows("SELECT * FROM cached_polylines") == []


def test_what_has_to_follow_is_said(db):
    db.rows("CREATE SCHEMA kept")
    with closing(db.connect()) as session, closing(session.cursor()) as cursor:
        cursor.execute("SELECT keep_paths('kept')")
        assert "In the same transaction: DROP EXTENSION osrm_matcher;" in session.notices[-1]


def test_the_whole_way_back(cron_db):
    cron_db.rows("CREATE TABLE markers (id serial PRIMARY KEY, username text, coords float8[], created_at timestamptz)")
    cron_db.rows("SELECT * FROM adopt_source('markers')")
    cron_db.rows("SELECT schedule_processing(), schedule_upkeep()")
    assert cron_db.rows("SELECT what, done FROM release_all()") == [
        ("processing is off the schedule", True),
        ("upkeep is off the schedule", True),
        ("table public.markers is as it was", True),
    ]
    cron_db.rows("DROP EXTENSION osrm_matcher")
    assert cron_db.value("SELECT count(*) FROM cron.job") == 0
    assert cron_db.rows("SELECT attname FROM pg_attribute WHERE attrelid = 'markers'::regclass AND attnum > 0 "
                        "AND NOT attisdropped ORDER BY attnum") == [("id",), ("username",), ("coords",), ("created_at",)]
