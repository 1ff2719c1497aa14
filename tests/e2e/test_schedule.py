"""The schedule over a real pg_cron: it is set, changed and taken off, and it does the work."""

from contextlib import closing

import psycopg2
import pytest

from drives import drive, insert, recent_window, waiting
from harness.database import Database
from optional import need

JOBS = "SELECT jobname, schedule, command, database FROM cron.job"


def test_called_twice_it_changes_the_schedule_instead_of_adding_a_job(cron_db):
    first = cron_db.value("SELECT schedule_processing()")
    assert cron_db.rows(JOBS) == [("osrm_matcher", "* * * * *", "CALL public.process_pending()", "postgres")]
    second = cron_db.value("SELECT schedule_processing('*/5 * * * *')")
    assert second == first
    assert cron_db.rows(JOBS) == [("osrm_matcher", "*/5 * * * *", "CALL public.process_pending()", "postgres")]
    cron_db.rows("SELECT schedule_processing(every => '5 s')")
    assert cron_db.rows(JOBS) == [
        ("osrm_matcher", "* * * * *", "CALL public.process_pending(58, every => '00:00:05')", "postgres")]
    assert cron_db.value("SELECT unschedule_processing()") is True
    assert cron_db.rows(JOBS) == []
    assert cron_db.value("SELECT unschedule_processing()") is False


def jobs(db):
    return db.rows("SELECT jobname, schedule, command FROM cron.job ORDER BY jobid")


def test_several_workers_have_a_job_each_and_their_number_may_be_changed(cron_db):
    assert cron_db.value("SELECT workers FROM worker_status()") is None
    first = cron_db.value("SELECT schedule_processing(workers => 3)")
    call = "CALL public.process_pending(windows_per_round => 166)"
    names = ["osrm_matcher", "osrm_matcher_2", "osrm_matcher_3"]
    assert jobs(cron_db) == [(name, "* * * * *", call) for name in names]
    assert cron_db.value("SELECT workers FROM worker_status()") == 3
    cron_db.rows("SELECT schedule_upkeep()")
    cron_db.rows("SELECT cron.schedule('osrm_matcher_of_mine', '0 0 1 1 *', 'SELECT 1')")
    call = "CALL public.process_pending(58, every => '00:00:10', windows_per_round => 250)"
    for _ in range(2):
        assert cron_db.value("SELECT schedule_processing('*/2 * * * *', '10 s', 2)") == first
        assert jobs(cron_db)[:2] == [(name, "*/2 * * * *", call) for name in names[:2]]
        assert len(jobs(cron_db)) == 4
    cron_db.rows("SELECT cron.alter_job(jobid, active => false) FROM cron.job WHERE jobname = 'osrm_matcher_2'")
    assert cron_db.value("SELECT workers FROM worker_status()") == 1
    assert cron_db.value("SELECT unschedule_processing()") is True
    assert [name for name, _, _ in jobs(cron_db)] == ["osrm_matcher_upkeep", "osrm_matcher_of_mine"]
    assert cron_db.value("SELECT unschedule_processing()") is False


@pytest.mark.parametrize("workers", ["0", "65", "null"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(cron_db, workers):
    with pytest.raises(psycopg2.Error) as caught:
        cron_db.rows(f"SELECT schedule_processing(workers => {workers})")
    assert caught.value.pgcode == "22023"
    assert jobs(cron_db) == []


def test_two_workers_that_begin_in_the_same_second_share_the_work(cron_db, osrm):
    for number in range(120):
        insert(cron_db, f"car-{number}", drive(osrm, recent_window(), 900, seed=number % 10))
    cron_db.rows("SELECT schedule_processing(workers => 2)")
    cron_db.wait_until("SELECT count(*) = 0 FROM gps_coordinates WHERE NOT processed", timeout=90)
    cron_db.rows("SELECT unschedule_processing()")
    runs = cron_db.rows("SELECT windows_completed FROM worker_runs WHERE windows_completed > 0")
    assert len(runs) == 2, "one worker did everything"
    # A round whose time is up leaves windows of the devices in hand to the next one, which does their neighbours again.
    assert 360 <= sum(windows for windows, in runs) < 380, "windows were done twice"
    assert cron_db.rows("SELECT DISTINCT status, retry_count FROM processing_batches") == [("completed", 0)]
    assert cron_db.rows("SELECT return_message FROM cron.job_run_details WHERE status = 'failed'") == []


# pg_cron runs a job over a connection of its own, or within the server.
@pytest.mark.parametrize("in_the_server", [False, True])
def test_within_a_minute_the_points_are_paths(cron_db, osrm, in_the_server):
    if in_the_server:
        cron_db.disconnect()
        cron_db.cluster.configure(cron__use_background_workers="on")
        cron_db.cluster.restart()
    cron_db.rows("SELECT schedule_processing()")
    insert(cron_db, "car", drive(osrm, recent_window(), 240))
    cron_db.wait_until("SELECT EXISTS (SELECT FROM cached_polylines WHERE match_status = 'matched')", timeout=75)
    assert waiting(cron_db) == 0
    cron_db.wait_until("SELECT EXISTS (SELECT FROM cron.job_run_details WHERE status = 'succeeded')")
    assert cron_db.rows("SELECT return_message FROM cron.job_run_details WHERE status = 'failed'") == []
    assert cron_db.value("SELECT sum(windows_completed) FROM worker_runs") >= 1


def refusal(db, call="schedule_processing()", state="55000"):
    with pytest.raises(psycopg2.Error) as caught:
        db.rows(f"SELECT {call}")
    assert caught.value.pgcode == state
    return caught.value.diag


def test_where_pg_cron_is_not_created_the_error_says_what_to_do(own_db):
    need("pg_cron")
    said = refusal(own_db)
    assert "pg_cron is not installed in database" in said.message_primary
    assert said.message_hint == "CREATE EXTENSION pg_cron."


def test_where_pg_cron_lives_in_another_database_the_error_names_it(db):
    need("pg_cron")
    said = refusal(db)
    assert said.message_detail == 'pg_cron keeps its jobs in database "postgres".'
    assert said.message_hint == ("In database \"postgres\": SELECT cron.schedule_in_database('osrm_matcher@{0}', '* * * * *', "
                                 "'CALL public.process_pending()', '{0}');".format(db.name))


@pytest.fixture
def other_db(cron_db):
    """A second database of the cluster, which pg_cron does not live in."""
    cron_db.cluster.create_database("other")
    other = Database(cron_db.cluster, "other")
    other.rows("CREATE EXTENSION osrm_matcher")
    yield other
    other.disconnect()


def test_what_the_error_says_sets_a_schedule_for_each_database(cron_db, other_db):
    own = cron_db.value("SELECT schedule_processing()")
    for call in ("schedule_processing('*/2 * * * *', '5 s', 2)", "schedule_upkeep('1 2 * * *')"):
        cron_db.rows(refusal(other_db, call).message_hint.partition(": ")[2])
    call = "CALL public.process_pending(58, every => '00:00:05', windows_per_round => 250)"
    assert cron_db.rows(JOBS + " WHERE database = 'other' ORDER BY jobid") == [
        ("osrm_matcher@other", "*/2 * * * *", call, "other"),
        ("osrm_matcher_2@other", "*/2 * * * *", call, "other"),
        ("osrm_matcher_upkeep@other", "1 2 * * *", "CALL public.upkeep()", "other"),
    ]
    assert cron_db.rows("SELECT jobid, command FROM cron.job WHERE database = 'postgres'") == [
        (own, "CALL public.process_pending()")]


def test_a_job_of_our_name_that_is_another_databases_is_not_taken_for_ours(cron_db, other_db):
    cron_db.rows("SELECT cron.schedule_in_database('osrm_matcher', '* * * * *', 'CALL public.process_pending()', 'other')")
    assert cron_db.rows("SELECT hint FROM worker_alerts() WHERE problem = 'schedule_missing'") == [
        ("SELECT public.schedule_processing();",)]
    said = refusal(cron_db)
    assert said.message_primary == 'pg_cron has a job "osrm_matcher" already, which is one of database "other"'
    cron_db.rows(said.message_hint.partition(": ")[2])
    cron_db.rows("SELECT schedule_processing()")
    call = ("* * * * *", "CALL public.process_pending()")
    assert sorted(cron_db.rows(JOBS)) == [("osrm_matcher", *call, "postgres"), ("osrm_matcher@other", *call, "other")]
    assert cron_db.rows("SELECT FROM worker_alerts() WHERE problem = 'schedule_missing'") == []


def test_a_job_of_our_name_whose_database_is_gone_is_replaced(cron_db, other_db):
    """As where this one was renamed, or restored under another name."""
    cron_db.rows("SELECT cron.schedule_in_database('osrm_matcher', '* * * * *', 'CALL public.process_pending()', 'other')")
    other_db.disconnect()
    cron_db.cluster.drop_database("other")
    cron_db.rows(cron_db.value("SELECT hint FROM worker_alerts() WHERE problem = 'schedule_missing'"))
    assert cron_db.rows(JOBS) == [("osrm_matcher", "* * * * *", "CALL public.process_pending()", "postgres")]
    assert cron_db.rows("SELECT FROM worker_alerts() WHERE problem = 'schedule_missing'") == []


def test_who_lets_each_call_look_again_is_told_that_statement_timeout_ends_it_early(cron_db):
    cron_db.set("statement_timeout", "30s")
    with closing(cron_db.connect()) as session, closing(session.cursor()) as cursor:
        cursor.execute("SET statement_timeout = 0; SELECT schedule_processing()")
        assert session.notices == []
        cursor.execute("SELECT schedule_processing(every => '5 s')")
        assert "statement_timeout, which is 00:00:30" in session.notices[-1]
        cursor.execute(session.notices[-1].partition("HINT:  ")[2])
    with closing(cron_db.connect()) as session, closing(session.cursor()) as cursor:
        cursor.execute("SELECT schedule_processing(every => '5 s')")
        assert session.notices == []


def test_a_superuser_changes_and_ends_jobs_of_other_roles(cron_db):
    cron_db.rows("CREATE ROLE boss SUPERUSER LOGIN; CREATE ROLE clerk LOGIN; GRANT USAGE ON SCHEMA cron TO clerk")
    cron_db.rows("SELECT schedule_processing(workers => 2), schedule_upkeep()")
    cron_db.rows("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO clerk")
    with closing(cron_db.connect(user="clerk")) as session, closing(session.cursor()) as cursor:
        cursor.execute("SELECT unschedule_processing()")
        assert cursor.fetchone() == (False,)
        assert "of pg_cron goes on: it is role postgres's" in session.notices[-1]
    with closing(cron_db.connect(user="boss")) as session, closing(session.cursor()) as cursor:
        cursor.execute("SELECT schedule_processing('*/5 * * * *'), unschedule_upkeep()")
        assert cron_db.rows("SELECT jobname, schedule, username FROM cron.job") == [("osrm_matcher", "*/5 * * * *", "boss")]
    assert cron_db.value("SELECT unschedule_processing()") is True
    assert jobs(cron_db) == []


@pytest.mark.parametrize("call", [
    "schedule_processing(every => '0')", "schedule_processing(every => '-5 s')", "schedule_processing(every => '500 ms')",
    "schedule_processing(NULL)", "schedule_upkeep(NULL)",
])
def test_a_schedule_whose_runs_would_all_fail_is_refused_and_the_old_one_stays(cron_db, call):
    cron_db.rows("SELECT schedule_processing(every => '5 s'), schedule_upkeep()")
    before = jobs(cron_db)
    assert refusal(cron_db, call, "22023").message_hint
    assert jobs(cron_db) == before
