"""What goes wrong on the first day, and whether the alerts lead to it: a schedule that is not let in, the map of another
place, coordinates that are swapped, times of another zone or unit."""

import pytest

from drives import process_all, recent_window

DRIVE = """INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
           SELECT %s || d, %s + n * 0.0005, %s + n * 0.0002, %s::timestamptz + n * interval '10 s'
             FROM generate_series(0, 14) n, generate_series(1, %s) d"""


def alerts(db):
    return {problem: (message, hint) for problem, message, hint in db.rows("SELECT problem, message, hint FROM worker_alerts()")}


def drive(db, device, longitude, latitude, start, devices):
    db.rows(DRIVE, (device, longitude, latitude, start, devices))


def test_a_schedule_that_is_new_is_said_to_begin_soon(cron_db):
    cron_db.rows("SELECT schedule_processing()")
    message, hint = alerts(cron_db)["not_running"]
    assert message == "no run within a day; none of pg_cron has ended yet"
    assert str(cron_db.value("SELECT next_run FROM worker_status()"))[:16] in hint


@pytest.mark.parametrize("said, advice", [
    ("connection failed", "cron.use_background_workers = on"),
    ('ERROR:  role "app" is not permitted to log in', "Look at cron.job_run_details"),
])
def test_why_pg_cron_could_not_call_is_in_the_alert(cron_db, said, advice):
    """Debian's pg_hba.conf wants a password of whoever connects as pg_cron does."""
    job = cron_db.value("SELECT schedule_processing()")
    cron_db.rows("""INSERT INTO cron.job_run_details (jobid, runid, database, username, command, status, return_message)
                    VALUES (%s, 1, 'postgres', 'postgres', 'CALL public.process_pending()', 'failed', %s)""", (job, said))
    message, hint = alerts(cron_db)["not_running"]
    assert message == f"no run within a day; the last one of pg_cron failed: {said}"
    assert advice in hint


@pytest.mark.parametrize("longitude, latitude", [(13.4, 52.5), (60.1703, 24.943)], ids=["Berlin", "swapped"])
def test_points_that_are_all_beyond_the_map_are_an_alert(db, longitude, latitude):
    drive(db, "bus", longitude, latitude, recent_window(), 9)
    process_all(db)
    assert "few_matched" not in alerts(db)  # too few to tell
    drive(db, "tram", longitude, latitude, recent_window(), 9)
    process_all(db)
    message, hint = alerts(db)["few_matched"]
    assert message == "0 of the last 18 paths lie on roads, all others are raw, for NoSegment mostly"
    (device, *place) = db.rows(hint[hint.index("SELECT"):])[0]
    assert device.startswith("tram") and place == pytest.approx([longitude, latitude], abs=0.02)


def test_a_vehicle_beyond_the_map_among_others_is_none(db):
    drive(db, "ferry", 24.99, 60.10, recent_window(), 1)
    drive(db, "bus", 24.943, 60.1703, recent_window(), 11)
    process_all(db)
    assert db.value("SELECT count(*) FROM cached_polylines WHERE match_status = 'raw'") > 0
    assert alerts(db) == {}


def test_a_fleet_whose_times_are_of_another_zone_is_an_alert_and_one_clock_is_none(db):
    now = db.value("SELECT now() - interval '5 min'")
    drive(db, "bus", 24.943, 60.1703, now, 19)
    drive(db, "odd", 24.943, 60.1703, db.value("SELECT now() + interval '3 hours'"), 1)
    process_all(db)
    assert "clocks_ahead" not in alerts(db)
    drive(db, "van", 24.943, 60.1703, db.value("SELECT now() + interval '3 hours'"), 5)
    process_all(db)
    message, hint = alerts(db)["clocks_ahead"]
    assert message.startswith("6 of 25 devices have points of the future, of up to 0") and "time_zone" in hint


def test_milliseconds_that_were_taken_for_seconds_are_an_alert(db):
    db.rows("""CREATE TABLE markers (username text, coords float8[], created_at timestamptz);
               SELECT adopt_source('markers')""")
    for table, columns in [("gps_coordinates (longitude, latitude, device_id, recorded_at)", "24.9, 60.1"),
                           ("markers (coords, username, created_at)", "'{24.9,60.1}'")]:
        db.rows(f"INSERT INTO {table} SELECT {columns}, 'bus', to_timestamp(1.7e12 + n) FROM generate_series(1, 20) n")
    db.rows("CALL process_pending()")
    message, hint = alerts(db)["points_ahead"]
    assert message.startswith("40 points are of more than a day in the future, the first of 55840-")
    assert "milliseconds" in hint
    db.rows("UPDATE gps_coordinates SET recorded_at = to_timestamp(extract(epoch FROM recorded_at) / 1000)")
    assert alerts(db)["points_ahead"][0].startswith("20 points")


def test_a_table_of_millionths_of_a_degree_is_an_alert_and_its_points_come_once_it_is_adopted_right(db):
    """Adoption could not warn: there were no rows yet."""
    db.rows("""CREATE TABLE markers (username text, lon integer, lat integer, created_at timestamptz);
               SELECT adopt_source('markers', longitude_column => 'lon', latitude_column => 'lat')""")
    db.rows("""INSERT INTO markers SELECT 'bus', 24943000 + n * 500, 60170300, now() - interval '5 min' + n * interval '10 s'
                 FROM generate_series(0, 14) n""")
    db.rows("CALL process_pending()")
    assert alerts(db)["points_rejected"][0] == "15 of 15 points of the last hour hold no usable place, time or device"
    db.rows("""SELECT release_source('markers');
               ALTER TABLE markers ADD longitude float8 GENERATED ALWAYS AS (lon / 1e6) STORED,
                                   ADD latitude float8 GENERATED ALWAYS AS (lat / 1e6) STORED;
               SELECT adopt_source('markers', longitude_column => 'longitude', latitude_column => 'latitude')""")
    db.rows("CALL process_pending()")
    # Not all of it is on a road.
    assert ("matched",) in db.rows("SELECT DISTINCT match_status FROM cached_polylines")
    assert db.value("SELECT count(*) FROM markers WHERE processed") == 15


@pytest.mark.parametrize("unit, factor", [("ms", 1), ("s", 1000)])
def test_a_wrong_unit_of_time_is_warned_of_at_adoption(db, unit, factor):
    db.rows("""CREATE TABLE markers (username text, coords float8[], created_at bigint);
               INSERT INTO markers SELECT 'bus', '{24.9,60.1}', extract(epoch FROM now()) * %s FROM generate_series(1, 5)""", (factor,))
    connection = db.connect()
    connection.cursor().execute("SELECT adopt_source('markers', time_unit => %s, dry_run => true)", (unit,))
    assert "none of 5 rows of table" in connection.notices[-1] and "time_unit" in connection.notices[-1]
    connection.close()
