"""Who may do what, with real roles."""

import itertools
from contextlib import closing

import psycopg2
import pytest
from drives import drive, insert, process_all, recent_window

_numbers = itertools.count(1)

READS = ["get_device_paths('bus')", "get_device_paths('bus', now() - interval '1 h', now())",
         "get_paths_between(NULL, now() - interval '1 h', now())", "get_fleet_paths()", "get_devices()",
         "get_device_tail('bus')", "get_device_stops('bus', now() - interval '1 h', now())",
         "get_path_points('bus', now() - interval '1 h', now())", "device_days",
         "get_device_distance('bus', now() - interval '1 h', now())", "get_distances(NULL, now() - interval '1 h', now())",
         "get_device_trips('bus', now() - interval '1 h', now())",
         "get_device_page('bus', tail => true)",
         "get_device_page_between('bus', now() - interval '1 h', now())",
         "get_fleet_page()", "holds_device('bus')", "get_device_geojson('bus', tail => true)",
         "get_paths_geojson(NULL, now() - interval '1 h', now())", "get_changes(now())", "get_page_changes(now())", "get_device_positions()",
         "get_device_fixes('bus', now() - interval '1 h', now())", "get_map_page()", "get_map_page('bus', fixes => true)"]
WORKS = ["process_pending_gps()", "make_batches()", "claim_batches()", "match_batches('{}')"]
WATCHES = ["worker_status()", "worker_alerts()", "storage_advice()", "get_jobs()", "osrm_health()",
           "get_osrm_servers()", "get_osrm_groups()"]
ADMINISTERS = ["adopt_source('pg_class')", "release_source('pg_class')", "adopt_shards('pg_class')",
               "rematch_arrived()", "forget_departed()", "partition_points()", "_make_partitions()", "start_backfill(now() - interval '1 h', now())",
               "start_rematch(now() - interval '1 h', now())", "stop_job(1)", "resume_job(1)", "retry_failed()",
               "delete_old()", "forget_device('bus')", "schedule_processing()", "unschedule_processing()", "schedule_upkeep()",
               "unschedule_upkeep()", "release_all()", "keep_paths('x')", "import_matched_paths('pg_class')",
               "grant_reader('nobody')", "grant_worker('nobody')", "grant_monitor('nobody')", "_advance_jobs(1)",
               "_use_ready_sources()", "_ask_source(NULL, NULL)", "_store_reads()"]


@pytest.fixture
def role(db):
    """A function that makes a role and returns what it may do: call(statement) -> None or an SQLSTATE."""
    made = []

    def make(grant=None):
        name = f"role_{db.name}_{next(_numbers)}"
        db.rows(f"CREATE ROLE {name} LOGIN")
        made.append(name)
        if grant:
            db.rows(f"SELECT grant_{grant}(%s)", (name,))
        session = db.connect(user=name)
        sessions.append(session)

        def state_of(statement):
            with closing(session.cursor()) as cursor:
                try:
                    cursor.execute(statement)
                except psycopg2.Error as error:
                    return error.pgcode
            return None

        state_of.name = name
        return state_of

    sessions = []
    yield make
    for session in sessions:
        session.close()
    for name in made:
        db.rows(f"DROP OWNED BY {name}; DROP ROLE {name}")


DENIED = "42501"


def allowed(role, calls):
    return [call for call in calls if role(f"SELECT * FROM {call}") != DENIED]


def test_a_role_with_no_rights_can_do_nothing(db, role):
    nobody = role()
    assert allowed(nobody, READS + WORKS + WATCHES + ADMINISTERS) == []
    for procedure in ("process_pending()", "upkeep()"):
        assert nobody(f"CALL {procedure}") == DENIED
    for table in ("gps_coordinates", "cached_polylines", "processing_batches", "stops", "worker_runs",
                  "adopted_sources", "matching_jobs", "path_reads", "worker_health", "cache_performance", "osrm_groups",
                  "osrm_group_devices"):
        assert nobody(f"SELECT * FROM {table}") == DENIED
    assert nobody("SELECT encode_polyline('{24.9,24.91}', '{60.1,60.11}')") is None
    assert nobody("SET osrm_matcher.osrm_url = 'http://169.254.169.254'") == DENIED
    assert nobody("SELECT set_config('osrm_matcher.osrm_url', 'http://169.254.169.254', false)") == DENIED


def test_a_reader_can_read_and_no_more(db, osrm, role):
    insert(db, "bus", drive(osrm, recent_window(), seconds=300))
    process_all(db)
    reader = role("reader")
    assert allowed(reader, READS) == READS
    assert [call for call in READS if reader(f"SELECT * FROM {call}") is not None] == []
    assert allowed(reader, WORKS + WATCHES + ADMINISTERS) == []
    assert reader("SELECT * FROM gps_coordinates") == DENIED
    assert reader("SELECT * FROM _waiting_points('bus', '-infinity', 'infinity', 10)") is None
    for statement in ("DELETE FROM cached_polylines", "UPDATE cached_polylines SET last_accessed = now()",
                      "INSERT INTO path_reads (from_time, to_time) VALUES (now(), now())", "TRUNCATE stops"):
        assert reader(statement) == DENIED
    db.rows("SELECT revoke_reader(%s)", (reader.name,))
    assert allowed(reader, READS) == []


def test_roles_have_what_they_need_where_public_has_nothing(empty_db, osrm):
    """As where an administrator takes EXECUTE, which PostgreSQL gives to all, away by default."""
    db = empty_db
    db.rows("""ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
               ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC;
               REVOKE ALL ON SCHEMA public FROM PUBLIC; CREATE EXTENSION osrm_matcher""")
    insert(db, "bus", drive(osrm, recent_window(), seconds=300))
    process_all(db)
    insert(db, "bus", drive(osrm, recent_window(), seconds=300, seed=2))
    for kind, calls in (("reader", READS), ("monitor", WATCHES), ("worker", WORKS)):
        name = f"osrm_test_bare_{kind}"
        db.rows(f"DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN; SELECT grant_{kind}('{name}')")
        try:
            with closing(db.connect(user=name)) as session:
                for call in calls:
                    session.cursor().execute(f"SELECT * FROM {call}")
                if kind == "worker":
                    session.cursor().execute("CALL process_pending()")
        finally:
            db.rows(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_worker_can_run_and_nothing_else(db, osrm, role):
    insert(db, "bus", drive(osrm, recent_window(), seconds=300))
    worker = role("worker")
    assert [call for call in WORKS if worker(f"SELECT * FROM {call}") is not None] == []
    assert worker("CALL process_pending()") is None
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed") == 0
    assert allowed(worker, READS + WATCHES + ADMINISTERS) == []
    assert worker("SELECT * FROM cached_polylines") == DENIED
    assert worker("SET osrm_matcher.osrm_url = 'http://169.254.169.254'") == DENIED


def test_a_worker_cannot_choose_the_host_before_the_library_is_loaded(db, osrm, role):
    """Until then PostgreSQL takes any value for a setting it does not know; it must not count."""
    insert(db, "bus", drive(osrm, recent_window(), seconds=300))
    worker = role("worker")
    assert worker("SET osrm_matcher.osrm_url = 'http://127.0.0.1:1'") is None
    assert worker("CALL process_pending()") is None
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed") == 0
    assert db.value("SELECT bool_and(match_status = 'matched') FROM cached_polylines") is True


def test_a_writer_may_be_let_see_the_id_of_what_it_inserts(db, role):
    writer = role("writer")
    insert_one = "INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at) VALUES ('bus', 24.9, 60.1, now())"
    assert [writer(insert_one), writer(f"{insert_one} ON CONFLICT DO NOTHING")] == [None, None]
    assert writer(f"{insert_one} RETURNING id") == DENIED
    db.rows(f"GRANT SELECT (id) ON gps_coordinates TO {writer.name}")
    assert writer(f"{insert_one} RETURNING id") is None
    assert writer("SELECT device_id FROM gps_coordinates") == DENIED


def test_only_the_owner_says_which_servers_groups_have_whatever_else_was_granted(db, role):
    """The list of devices can be another's to write, for it names no server."""
    db.rows("INSERT INTO osrm_groups (name, osrm_url) VALUES ('trucks', 'http://10.0.0.1:5000')")
    writer = role()
    insert_group = "INSERT INTO osrm_groups (name, osrm_url) VALUES ('g', 'http://169.254.169.254')"
    change_group = "UPDATE osrm_groups SET osrm_url = 'http://169.254.169.254'"
    list_device = "INSERT INTO osrm_group_devices VALUES ('bus', 'trucks')"
    for statement in (insert_group, change_group, list_device):
        assert writer(statement) == DENIED
    db.rows(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {writer.name}")
    for statement in (insert_group, change_group, "DELETE FROM osrm_groups", "TRUNCATE osrm_groups CASCADE"):
        assert writer(statement) == DENIED
    assert db.rows("SELECT name, osrm_url FROM osrm_groups") == [("trucks", "http://10.0.0.1:5000")]
    assert writer(list_device) is None
    assert db.rows("SELECT * FROM get_osrm_groups('{bus}')") == [("bus", "trucks")]


def test_a_monitor_can_watch_and_nothing_else(db, role):
    monitor = role("monitor")
    assert [call for call in WATCHES if monitor(f"SELECT * FROM {call}") is not None] == []
    assert monitor("SELECT * FROM worker_health") is None
    assert monitor("SELECT * FROM cache_performance") is None
    assert allowed(monitor, READS + WORKS + ADMINISTERS) == []
    assert monitor("SELECT * FROM gps_coordinates") == DENIED


def test_nobody_leads_the_functions_with_rights_astray(db, osrm, role):
    """A caller's own tables, functions and operators are not what a function with its owner's rights uses."""
    insert(db, "bus", drive(osrm, recent_window(), seconds=300))
    process_all(db)
    reader = role("reader")
    db.rows(f"CREATE SCHEMA trap AUTHORIZATION {reader.name}")
    for statement in (
        "CREATE TABLE trap.log (who text)",
        "CREATE FUNCTION trap.spy(text, text) RETURNS boolean LANGUAGE plpgsql AS "
        "$$BEGIN INSERT INTO trap.log VALUES (current_user); RETURN true; END$$",
        "CREATE OPERATOR trap.= (FUNCTION = trap.spy, LEFTARG = text, RIGHTARG = text)",
        "CREATE TABLE trap.gps_coordinates (device_id text)",
        "CREATE TABLE trap.path_reads (device_id text)",
        "CREATE FUNCTION trap.now() RETURNS timestamptz LANGUAGE plpgsql AS "
        "$$BEGIN INSERT INTO trap.log VALUES (current_user); RETURN pg_catalog.now(); END$$",
        "SET search_path = trap, pg_catalog, public",
    ):
        assert reader(statement) is None, statement
    for call in READS:
        assert reader(f"SELECT * FROM public.{call}") is None, call
    assert db.rows("SELECT DISTINCT who FROM trap.log WHERE who <> %s", (reader.name,)) == []


def test_a_role_keeps_what_it_has_as_one_of_another_kind(db):
    role = f"ops_{db.name}"
    db.rows(f"CREATE ROLE {role}; SELECT grant_monitor('{role}'), grant_reader('{role}')")
    may = f"SELECT has_table_privilege('{role}', %s, 'SELECT')"
    db.rows("SELECT revoke_reader(%s)", (role,))
    assert [db.value(may, (table,)) for table in ("processing_batches", "cached_polylines")] == [True, False]
    db.rows("SELECT grant_reader(%s), revoke_monitor(%s)", (role, role))
    assert [db.value(may, (table,)) for table in ("processing_batches", "worker_runs")] == [True, False]
    db.rows("SELECT revoke_reader(%s)", (role,))
    assert db.value(may, ("processing_batches",)) is False
    db.rows(f"DROP OWNED BY {role}; DROP ROLE {role}")
