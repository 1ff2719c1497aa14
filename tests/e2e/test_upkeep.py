"""What is old goes in small steps; what is needed stays."""

from contextlib import closing

import psycopg2
import pytest
from optional import need_module


@pytest.fixture
def aged(db):
    """Forty days of rows, one an hour, of three devices that stand at two places by turns."""
    db.rows("""
        INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at, processed)
        SELECT 'd' || d, 24.9, 60.1, now() - h * interval '1 h', h > 24
          FROM generate_series(1, 3) d, generate_series(1, 960) h;
        INSERT INTO processing_batches (device_id, start_time, end_time, status, processing_completed_at)
        SELECT device_id, recorded_at, recorded_at + interval '5 min', 'completed', now() FROM gps_coordinates;
        INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)
        SELECT device_id, recorded_at, recorded_at + interval '5 min', '_p~iF~ps|U_ulLnnqC', 2 FROM gps_coordinates;
        INSERT INTO stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count)
        SELECT device_id, recorded_at, recorded_at + interval '5 min', 24.9 + 0.01 * (extract(hour FROM recorded_at)::int % 2), 60.1, 2
          FROM gps_coordinates""")
    return db


def counts(db):
    tables = ("cached_polylines", "stops", "processing_batches", "gps_coordinates")
    return [db.value(f"SELECT count(*) FROM {table}") for table in tables]


def test_a_step_is_bounded_and_the_procedure_repeats_it(aged):
    step = aged.row("SELECT * FROM delete_old(max_rows => 100)")
    assert (step["paths"], step["stops"], step["batches"], step["points"]) == (100, 100, 0, 0), (
        "a batch goes after its paths")
    aged.rows("CALL upkeep()")
    left = counts(aged)
    assert left[3] == 3 * 960
    assert all(3 * 719 <= count <= 3 * 720 for count in left[:3])
    assert aged.value("SELECT min(end_time) > now() - interval '30 days' FROM cached_polylines")


def test_nothing_is_compiled_for_it(aged):
    need_module("auto_explain")
    aged.rows("CREATE TABLE favourites (path bigint REFERENCES cached_polylines)")
    with closing(aged.connect()) as session, closing(session.cursor()) as cursor:
        cursor.execute("""LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on;
                          SET auto_explain.log_nested_statements = on; SET client_min_messages = log""")
        for call in "delete_old(max_rows => 10)", "storage_advice()":
            del session.notices[:]
            cursor.execute(f"SELECT * FROM {call}")
            assert any("Query Text" in notice for notice in session.notices)
            assert not [notice for notice in session.notices if "JIT:" in notice]


def test_points_go_only_if_asked_and_never_unprocessed_ones(aged):
    aged.rows("UPDATE gps_coordinates SET processed = false WHERE recorded_at < now() - interval '39 days'")
    unprocessed = aged.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed")
    aged.rows("CALL upkeep(points_older_than => '10 days')")
    assert aged.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed") == unprocessed
    assert aged.value("SELECT min(recorded_at) > now() - interval '10 days' FROM gps_coordinates WHERE processed")


def test_null_keeps_all(aged):
    before = counts(aged)
    aged.rows("CALL upkeep(paths_older_than => NULL, batches_older_than => NULL)")
    assert counts(aged) == before


@pytest.mark.parametrize("arguments", ["paths_older_than => '1 day'", "points_older_than => '1 h'", "max_rows => 0",
                                       "batches_older_than => '100000 years'"])
def test_what_late_points_may_still_need_is_not_deleted(db, arguments):
    with pytest.raises(psycopg2.errors.InvalidParameterValue):
        db.rows(f"SELECT delete_old({arguments})")


def test_rows_that_somebody_has_locked_are_passed_over(aged):
    holder = aged.connect(autocommit=False)
    try:
        holder.cursor().execute("SELECT FROM cached_polylines WHERE device_id = 'd1' FOR UPDATE")
        aged.rows("SET lock_timeout = '500ms'")
        aged.rows("CALL upkeep()")
    finally:
        holder.close()
    assert aged.rows("""SELECT DISTINCT device_id FROM cached_polylines
                         WHERE end_time < now() - interval '31 days'""") == [("d1",)]


@pytest.mark.parametrize("reference, gone", [
    ("", 3), ("DEFERRABLE INITIALLY DEFERRED", 3), ("ON DELETE CASCADE", 0)])
def test_a_row_that_another_table_refers_to_stays_and_all_others_go(aged, reference, gone):
    aged.rows(f"""CREATE TABLE favourites (path bigint REFERENCES cached_polylines {reference});
                  INSERT INTO favourites SELECT id FROM cached_polylines ORDER BY start_time LIMIT 3""")
    aged.rows("CALL upkeep()")
    assert aged.value("SELECT count(*) FROM cached_polylines WHERE start_time < now() - interval '30 days'") == gone
    assert aged.value("SELECT count(*) FROM favourites") == gone
    assert aged.value("SELECT count(*) FROM stops WHERE start_time < now() - interval '30 days'") == 0
    assert aged.value("SELECT count(*) FROM processing_batches WHERE start_time < now() - interval '30 days'") == gone, (
        "a batch stays with its path")


def refuse_deletion(db, table):
    db.rows(f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
                AS $$ BEGIN RAISE 'not this one' USING HINT = 'Ask first.'; END $$;
                CREATE TRIGGER t BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()""")


def test_a_table_that_fails_is_told_of_and_all_else_is_done(aged):
    refuse_deletion(aged, "cached_polylines")
    before = counts(aged)
    step = aged.row("SELECT * FROM delete_old(max_rows => 100)")
    assert (step["paths"], step["stops"]) == (0, 100)
    with pytest.raises(psycopg2.Error, match="could not delete old paths: not this one") as caught:
        aged.rows("CALL upkeep()")
    assert caught.value.pgcode == "55000" and caught.value.diag.message_hint
    left = counts(aged)
    assert left[0] == before[0] and left[1] <= 3 * 720
    with closing(aged.connect()) as session, closing(session.cursor()) as cursor:
        with pytest.raises(psycopg2.Error):
            cursor.execute("CALL upkeep()")
        (warning,) = session.notices
    assert all(words in warning for words in ("WARNING:  could not delete old paths: not this one", "Ask first."))


def test_a_scheduled_upkeep_that_failed_or_is_overdue_is_an_alert(cron_db):
    def alerts():
        return cron_db.rows("SELECT problem, message, hint FROM worker_alerts() WHERE problem LIKE 'upkeep%%'")

    assert alerts() == []
    refuse_deletion(cron_db, "cached_polylines")
    cron_db.rows("""INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)
                    VALUES ('car', now() - interval '40 days', now() - interval '40 days', '_p~iF~ps|U_ulLnnqC', 2)""")
    job = cron_db.value("SELECT schedule_upkeep('* * * * *')")
    assert alerts() == []
    cron_db.wait_until("SELECT EXISTS (SELECT FROM cron.job_run_details WHERE status IN ('succeeded', 'failed'))", 90)
    ((problem, message, hint),) = alerts()
    assert problem == "upkeep_failed" and "could not delete old paths: not this one" in message and "* * * * *" in hint
    cron_db.rows("DROP TRIGGER t ON cached_polylines")
    cron_db.rows("SELECT cron.alter_job(%s, active => false)", (job,))
    cron_db.rows("UPDATE cron.job_run_details SET status = 'succeeded'")
    assert alerts() == []
    cron_db.rows("UPDATE cron.job_run_details SET start_time = start_time - interval '2 days'")
    ((problem, message, hint),) = alerts()
    assert problem == "upkeep_not_running" and "2 days" in message and f"alter_job({job}, active => true)" in hint
    # As pg_cron has it where no connection was left.
    cron_db.rows("""UPDATE cron.job_run_details
                       SET status = 'failed', return_message = 'connection failed', start_time = NULL, end_time = NULL""")
    ((_, message, _),) = alerts()
    assert message == "upkeep failed: connection failed"


def test_the_log_of_pg_cron_is_kept_short_for_our_jobs_alone(cron_db):
    ours = cron_db.value("SELECT schedule_processing()")
    other = cron_db.value("SELECT cron.schedule('other', '0 0 1 1 *', 'SELECT 1')")
    assert cron_db.value("SELECT schedule_upkeep()") != ours
    call = "CALL fleet.process_pending(58, every => '00:00:05')"  # of another database, as schedule_processing() says there
    theirs = cron_db.value("SELECT cron.schedule_in_database('osrm_matcher_2@template1', '0 0 1 1 *', %s, 'template1')", (call,))
    for job, database, command in ((ours, "postgres", "CALL public.process_pending()"), (theirs, "template1", call),
                                   (other, "postgres", "SELECT 1")):
        cron_db.rows("""INSERT INTO cron.job_run_details (jobid, runid, database, username, command, status, start_time, end_time)
                        SELECT %s, nextval('cron.runid_seq'), %s, 'postgres', %s, 'succeeded', t, t
                          FROM generate_series(now() - interval '3 days', now(), '1 h') t""", (job, database, command))
    cron_db.rows("CALL upkeep()")
    left = dict(cron_db.rows("""SELECT jobid, count(*) FROM cron.job_run_details
                                 WHERE end_time < now() - interval '5 min' GROUP BY 1"""))
    assert left[ours] in (23, 24)  # the day ends while the test runs
    assert left[theirs] in (23, 24)
    assert left[other] in (72, 73)
    assert cron_db.value("SELECT unschedule_upkeep()") is True
    assert cron_db.value("SELECT unschedule_upkeep()") is False


def test_the_advice_says_what_a_device_and_day_take(aged):
    rows = aged.rows("SELECT table_name, rows_per_device_day, expected_bytes, size_bytes FROM storage_advice(40)")
    advice = {row[0]: row for row in rows}
    assert advice["cached_polylines"][1] == pytest.approx(24, rel=0.1)
    assert advice["cached_polylines"][2] == pytest.approx(advice["cached_polylines"][3], rel=0.1)


def test_the_advice_knows_of_devices_that_have_only_stood(db):
    """One device drives, nineteen stand; all send a point a minute."""
    db.rows("""
        INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at, processed)
        SELECT 'd' || d, 24.9, 60.1, now() - n * interval '1 min', true FROM generate_series(1, 20) d, generate_series(1, 1440) n;
        INSERT INTO processing_batches (device_id, start_time, end_time, status)
        SELECT 'd' || d, now() - n * interval '5 min', now() - (n - 1) * interval '5 min', 'completed'
          FROM generate_series(1, 20) d, generate_series(1, 288) n;
        INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)
        SELECT 'd1', now() - n * interval '1 min', now() - n * interval '1 min', '??', 1 FROM generate_series(1, 1440) n;
        ANALYZE""")
    ask = "SELECT table_name, rows_per_device_day, expected_bytes / size_bytes FROM storage_advice(30)"
    advice = {name: (rows, growth) for name, rows, growth in db.rows(ask)}
    assert advice["gps_coordinates"] == (pytest.approx(1440, rel=0.01), pytest.approx(30, rel=0.01))
    assert advice["cached_polylines"] == (pytest.approx(1440 / 20, rel=0.01), pytest.approx(30, rel=0.01))
