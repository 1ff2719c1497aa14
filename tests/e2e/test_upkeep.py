"""What is old goes in small steps; what is needed stays."""

import psycopg2
import pytest
from drives import drive, insert, paths, process_all, recent_window
from harness.wait import wait_for


@pytest.fixture
def aged(db):
    """Forty days of rows, one an hour, of three devices."""
    db.rows("""
        INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at, processed)
        SELECT 'd' || d, 24.9, 60.1, now() - h * interval '1 h', h > 24
          FROM generate_series(1, 3) d, generate_series(1, 960) h;
        INSERT INTO processing_batches (device_id, start_time, end_time, status, processing_completed_at)
        SELECT device_id, recorded_at, recorded_at + interval '5 min', 'completed', now() FROM gps_coordinates;
        INSERT INTO cached_polylines (device_id, start_time, end_time, encoded_polyline, point_count)
        SELECT device_id, recorded_at, recorded_at + interval '5 min', '_p~iF~ps|U_ulLnnqC', 2 FROM gps_coordinates;
        INSERT INTO stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count)
        SELECT device_id, recorded_at, recorded_at + interval '5 min', 24.9, 60.1, 2 FROM gps_coordinates""")
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


@pytest.mark.parametrize("arguments", ["paths_older_than => '1 day'", "points_older_than => '1 h'", "max_rows => 0"])
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


def test_the_log_of_pg_cron_is_kept_short_for_our_jobs_alone(cron_db):
    ours = cron_db.value("SELECT schedule_processing()")
    other = cron_db.value("SELECT cron.schedule('other', '0 0 1 1 *', 'SELECT 1')")
    assert cron_db.value("SELECT schedule_upkeep()") != ours
    for job, command in ((ours, "CALL public.process_pending()"), (other, "SELECT 1")):
        cron_db.rows("""INSERT INTO cron.job_run_details (jobid, runid, database, username, command, status, start_time, end_time)
                        SELECT %s, nextval('cron.runid_seq'), current_database(), 'postgres', %s, 'succeeded', t, t
                          FROM generate_series(now() - interval '3 days', now(), '1 h') t""", (job, command))
    cron_db.rows("CALL upkeep()")
    left = dict(cron_db.rows("""SELECT jobid, count(*) FROM cron.job_run_details
                                 WHERE end_time < now() - interval '5 min' GROUP BY 1"""))
    assert left[ours] in (23, 24)  # the day ends while the test runs
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
