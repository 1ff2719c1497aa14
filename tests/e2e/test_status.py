"""What the operator sees: status, views, alerts, and the line for a monitoring check."""

import re
import subprocess
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest
from drives import drive, insert, process_all, recent_window
from harness import env
from harness.wait import wait_for


def problems(db, arguments=""):
    return [name for (name,) in db.rows(f"SELECT problem FROM worker_alerts({arguments})")]


def test_status_of_an_empty_database(db):
    status = db.row("SELECT * FROM worker_status()")
    counts = {key: value for key, value in status.items() if isinstance(value, int)}
    assert set(counts.values()) <= {0, False, True}
    assert status["enabled"] is True
    assert (status["osrm_reachable"], status["last_run"], status["next_run"]) == (None, None, None)


def test_status_counts_what_waits_and_what_is_done(db, osrm):
    insert(db, "bus", drive(osrm, recent_window(), seconds=600))
    before = db.row("SELECT * FROM worker_status()")
    assert (before["unprocessed_points"], before["processed_points"]) == (120, 0)
    assert before["windows_pending"] == 2
    assert before["oldest_waiting"] == recent_window()
    assert before["active_devices"] == 1
    process_all(db)
    after = db.row("SELECT * FROM worker_status()")
    assert (after["unprocessed_points"], after["processed_points"], after["windows_pending"]) == (0, 120, 0)
    assert after["cached_paths"] == db.value("SELECT count(*) FROM cached_polylines")
    assert after["osrm_reachable"] is True
    assert after["estimated"] is False
    assert datetime.now(timezone.utc) - after["last_cache_update"] < timedelta(minutes=1)
    assert after["last_run"]["points"] == 120
    health = db.row("SELECT * FROM worker_health")
    assert (health["points_waiting"], health["points_last_hour"], health["windows_last_hour"]) == (0, 120, 2)
    cache = db.row("SELECT * FROM cache_performance")
    assert (cache["paths"], cache["devices"]) == (after["cached_paths"], 1)
    assert cache["matched_share"] == db.value("SELECT avg((match_status = 'matched')::int)::float8 FROM cached_polylines")
    assert cache["size_bytes"] > 0


WAITING = {
    # Devices, points of each, seconds between them; when the n-th of device d is, in such steps.
    "often": (400, 100, 4, "n + random()"),
    "each second": (1000, 100, 1, "n + random()"),
    "now and then": (6000, 12, 300, "n + random()"),
    # More in a second, or at a minute, than are read.
    "at whole seconds": (12_000, 10, 3, "n + d % 3 / 3.0"),
    "at whole minutes": (6000, 6, 60, "n"),
}


@pytest.mark.parametrize("devices, points, apart, at", WAITING.values(), ids=WAITING)
def test_a_count_beyond_the_bound_is_an_estimate_near_the_truth(db, devices, points, apart, at):
    """Also where a device is seen at one end of what was counted only, or at none."""
    db.rows(f"""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
                SELECT 'd' || d, 24.9, 60.1, date_bin('5 min', now() - interval '2 h', 'epoch') + ({at}) * interval '{apart} s'
                  FROM generate_series(1, {points}) n, generate_series(1, {devices}) d""")
    assert_near_the_truth(db)


def test_an_adopted_table_is_estimated_as_well(db):
    """By the second, as its times are."""
    db.rows("""CREATE TABLE markers (id serial PRIMARY KEY, vehicle integer, lon float8, lat float8, at bigint);
               SELECT FROM adopt_source('markers', device_column => 'vehicle', time_column => 'at', time_unit => 's',
                                        longitude_column => 'lon', latitude_column => 'lat');
               INSERT INTO markers (vehicle, lon, lat, at)
               SELECT d, 24.9, 60.1, extract(epoch FROM date_bin('5 min', now() - interval '2 h', 'epoch'))::bigint + n * 60
                 FROM generate_series(1, 6) n, generate_series(1, 6000) d""")
    assert_near_the_truth(db, "SELECT vehicle::text, to_timestamp(at) FROM markers")


def assert_near_the_truth(db, points="SELECT device_id, recorded_at FROM gps_coordinates"):
    truth = db.row(f"""SELECT count(*) AS points, count(DISTINCT device) AS devices,
                              count(DISTINCT (device, date_bin('5 min', at, 'epoch'))) AS windows
                         FROM ({points}) p (device, at)""")
    status = db.row("SELECT * FROM worker_status()")
    assert status["estimated"] is True
    assert status["unprocessed_points"] == pytest.approx(truth["points"], rel=0.15)
    assert status["active_devices"] == pytest.approx(truth["devices"], rel=0.1)
    assert status["windows_pending"] == pytest.approx(truth["windows"], rel=0.25)


def test_what_some_devices_bring_late_does_not_count_as_dense_as_what_is_live(db):
    live, late = 40_000, 6000
    db.rows(f"""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
                SELECT 'late' || n % 20, 24.9, 60.1, now() - interval '3 min' - random() * interval '6 h'
                  FROM generate_series(1, {late}) n
                UNION ALL
                SELECT 'live' || n % 1000, 24.9, 60.1, now() - random() * interval '2 min' FROM generate_series(1, {live}) n""")
    status = db.row("SELECT * FROM worker_status()")
    assert status["unprocessed_points"] == pytest.approx(live + late, rel=0.5)
    assert status["active_devices"] == pytest.approx(1020, rel=0.5)


def test_status_says_since_when_osrm_is_away_and_alerts_do(db, own_osrm):
    insert(db, "bus", drive(own_osrm, recent_window(), seconds=300))
    process_all(db)
    own_osrm.stop()
    insert(db, "van", [(24.94, 60.17, recent_window()), (24.95, 60.17, recent_window() + timedelta(minutes=1))])
    begin = datetime.now(timezone.utc)
    for _ in range(2):
        db.rows("SELECT process_pending_gps()")
    status = db.row("SELECT * FROM worker_status()")
    assert status["osrm_reachable"] is False
    assert abs(status["osrm_since"] - begin) < timedelta(seconds=5)
    assert status["osrm_error"]
    assert "osrm_away" in problems(db)
    own_osrm.start()
    process_all(db)
    assert db.value("SELECT osrm_reachable FROM worker_status()") is True
    assert "osrm_away" not in problems(db)


AHEAD = """INSERT INTO worker_runs (started_at, finished_at, osrm_calls, points_waiting, windows_completed)
           SELECT now() + interval '2 h', now() + interval '2 h', 5, 0, 1000000 FROM generate_series(1, 20)"""


def test_what_is_on_record_from_a_clock_that_was_ahead_hides_nothing(db, own_osrm):
    db.rows(AHEAD)
    assert "not_running" in problems(db)
    own_osrm.stop()
    insert(db, "van", [(24.94, 60.17, recent_window()), (24.95, 60.17, recent_window() + timedelta(minutes=1))])
    db.rows("SELECT process_pending_gps()")
    assert "osrm_away" in problems(db) and "not_running" not in problems(db)
    assert db.value("SELECT last_run ->> 'id' = (SELECT max(id)::text FROM worker_runs) FROM worker_status()")
    db.rows("UPDATE worker_runs SET windows_failed = 1, started_at = started_at - interval '5 min'")
    assert {"not_running", "failures"} <= set(problems(db))
    assert db.value("SELECT windows_last_hour FROM worker_health") == 0


def test_a_pause_that_was_asked_for_while_a_clock_was_ahead_is_over(db, osrm):
    db.rows("""INSERT INTO worker_runs (started_at, finished_at, osrm_error, osrm_resume_at)
               VALUES (now() + interval '2 h', now() + interval '2 h', 'HTTP 429', now() + interval '2 h 1 min')""")
    insert(db, "bus", drive(osrm, recent_window(), seconds=300))
    process_all(db)
    assert problems(db) == []


def test_alerts_and_status_do_not_read_the_log_of_runs(db):
    """A month of it, and each run found that OSRM answers."""
    db.rows("""INSERT INTO worker_runs (started_at, finished_at, osrm_calls, search_pages)
               SELECT t, t, 5, 100 FROM generate_series(now() - interval '69 days', now(), interval '1 min') t;
               ANALYZE worker_runs""")
    for call in "worker_alerts()", "worker_status()", "process_pending_gps()":
        with closing(db.connect(autocommit=False)) as session, closing(session.cursor()) as cursor:
            cursor.execute(f"SELECT count(*) FROM {call}")
            cursor.execute("SELECT idx_tup_fetch, seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'worker_runs'")
            ((fetched, read),) = cursor.fetchall()
        assert fetched + read < 4000, call


def test_no_rows_when_all_is_well(db, osrm):
    insert(db, "bus", drive(osrm, recent_window(), seconds=300))
    process_all(db)
    assert problems(db) == []


def test_each_problem_has_its_alert(db, osrm):
    assert problems(db) == ["not_running"]
    insert(db, "bus", drive(osrm, recent_window(), seconds=300))
    process_all(db)
    db.set("osrm_matcher.enabled", "off")
    assert problems(db) == ["disabled"]
    db.set("osrm_matcher.enabled", "on")
    assert problems(db, "cache_budget => 1000") == ["cache_over_budget"]
    db.rows("UPDATE worker_runs SET windows_failed = 1")
    assert problems(db) == ["failures"]
    db.rows("UPDATE worker_runs SET windows_failed = 0")
    insert(db, "late", drive(osrm, recent_window(), seconds=30))
    db.rows("UPDATE gps_coordinates SET created_at = now() - interval '3 min' WHERE device_id = 'late'")
    assert problems(db) == ["delay"]
    assert problems(db, "max_delay => '5 min'") == []
    db.rows("""INSERT INTO worker_runs (started_at, finished_at, points_waiting)
               VALUES (now() - interval '9 min', now(), 2000), (now(), now(), 5000)""")
    assert problems(db) == ["delay", "backlog_growing"]
    db.rows("UPDATE worker_runs SET started_at = started_at - interval '10 min'")
    assert "not_running" in problems(db)


def test_a_missing_or_stopped_schedule_is_an_alert(cron_db):
    assert problems(cron_db) == ["schedule_missing"]
    assert cron_db.value("SELECT schedule FROM worker_status()") is None
    job = cron_db.value("SELECT schedule_processing()")
    status = cron_db.row("SELECT schedule, next_run FROM worker_status()")
    assert status["schedule"] == "* * * * *"
    assert timedelta(0) < status["next_run"] - datetime.now(timezone.utc) <= timedelta(seconds=60)
    cron_db.rows("SELECT cron.alter_job(%s, active => false)", (job,))
    assert problems(cron_db) == ["schedule_inactive"]
    assert cron_db.value("SELECT next_run FROM worker_status()") is None


def test_the_documented_monitoring_line_ends_with_the_right_code(db):
    page = (env.ROOT / "docs/watching.md").read_text()
    (line,) = re.findall(r"```sh\n(problems=.*?)```", page, re.DOTALL)
    place = {"PGHOST": db.cluster.socket_dir, "PGPORT": "5432", "PGUSER": "postgres", "PGDATABASE": db.name,
             "PATH": f"{env.PG_BIN}:/usr/bin:/bin"}

    def check():
        return subprocess.run(["sh", "-c", line], env=place, capture_output=True, text=True)

    bad = check()
    assert (bad.returncode, "not_running" in bad.stdout) == (2, True)
    db.rows("SELECT process_pending_gps()")
    wait_for(lambda: check().returncode == 0, 10, "no problem left")
    place["PGDATABASE"] = "nowhere"
    assert check().returncode == 2
