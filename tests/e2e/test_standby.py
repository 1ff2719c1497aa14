"""Reads on a real hot standby."""

import os
from contextlib import contextmanager

import psycopg2
import pytest
from drives import drive, insert, process_all, recent_window
from grouped import groups, make_group
from harness import env
from harness.clock import Clock
from harness.database import Database


@contextmanager
def following(primary, cluster):
    """A cluster that is made as a copy of the primary's, and follows it."""

    def copy():
        cluster.data.mkdir(mode=0o700)
        cluster._give(cluster.data)
        primary.cluster.run("pg_basebackup", "-D", cluster.data, "-R", "-X", "stream", "-c", "fast")

    cluster.init = copy
    with cluster:
        database = Database(cluster, primary.name)
        yield database
        database.disconnect()


@pytest.fixture
def standby(own_db, osrm, new_cluster):
    with following(own_db, new_cluster("standby", osrm.url)) as database:
        yield database


def follow(primary, standby):
    position = primary.value("SELECT pg_current_wal_insert_lsn()::text")
    standby.wait_until("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", parameters=(position,))


def test_every_read_works_and_says_what_the_primary_says(own_db, standby, osrm):
    insert(own_db, "bus", drive(osrm, recent_window(), seconds=600))
    process_all(own_db)
    own_db.rows("CREATE TABLE markers (id serial PRIMARY KEY, username text, coords float8[], created_at timestamptz)")
    own_db.rows("SELECT * FROM adopt_source('markers')")
    # What nobody can read on a standby.
    own_db.rows("CREATE UNLOGGED TABLE fleeting (username text, coords float8[], created_at timestamptz)")
    # Adoption refuses such a table; one that was adopted before may have become so.
    own_db.rows("ALTER TABLE fleeting SET LOGGED; SELECT * FROM adopt_source('fleeting'); ALTER TABLE fleeting SET UNLOGGED")
    insert(own_db, "late", drive(osrm, recent_window(10), seconds=100))
    follow(own_db, standby)

    assert standby.value("SELECT pg_is_in_recovery()") is True
    for call in ("get_device_paths('bus')", "get_paths_between(NULL, now() - interval '2 h', now())",
                 "get_path_points('bus', now() - interval '2 h', now())", "get_device_positions('{bus}')",
                 "get_device_fixes('bus', now() - interval '2 h', now())", "get_changes(now() - interval '1 h')",
                 "get_device_distance('bus', '-infinity', 'infinity')", "get_distances(NULL, '-infinity', 'infinity')",
                 "get_device_trips('bus', '-infinity', 'infinity')", "device_days"):
        ask = f"SELECT * FROM {call}"
        assert standby.rows(ask) == own_db.rows(ask) != [], call
    for call in ("get_device_page('bus')", "get_device_geojson('bus')", "get_fleet_page(2)"):
        assert standby.value(f"SELECT {call}") == own_db.value(f"SELECT {call}"), call
    page = standby.value("SELECT get_device_page('late', tail => true)")
    assert page["paths"][-1]["match_status"] == "tail"
    assert page["processing_delay_ms"] > 0
    follow(own_db, standby)
    assert own_db.value("SELECT count(*) FROM path_reads WHERE device_id = 'late'") == 0


def test_what_watches_works_and_what_works_is_refused(own_db, standby, osrm):
    insert(own_db, "bus", drive(osrm, recent_window(), seconds=100))
    follow(own_db, standby)
    assert standby.value("SELECT unprocessed_points FROM worker_status()") == 20
    assert standby.row("SELECT * FROM cache_performance")["hit_rate"] is None
    for view in ("worker_health", "worker_alerts()", "storage_advice()", "get_jobs()"):
        standby.rows(f"SELECT * FROM {view}")
    assert standby.value("SELECT reachable FROM osrm_health()") is True
    standby.rows("CALL process_pending()")
    standby.rows("CALL upkeep()")
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        standby.rows("SELECT process_pending_gps()")


def test_which_group_a_device_is_in_is_told_though_a_table_cannot_be_read(own_db, standby):
    own_db.rows("CREATE TABLE fleeting (username text, coords float8[], created_at timestamptz, vehicle_type text)")
    own_db.rows("SELECT * FROM adopt_source('fleeting'); ALTER TABLE fleeting SET UNLOGGED")
    make_group(own_db, "trucks", "http://127.0.0.1:1", source_column="vehicle_type", source_value="truck")
    own_db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at, vehicle_type)
                   VALUES ('bus', 24.94, 60.17, now(), 'truck')""")
    follow(own_db, standby)
    assert groups(standby, ("bus", "tram")) == groups(own_db, ("bus", "tram")) == {"bus": "trucks", "tram": None}


@pytest.fixture
def clocked(osrm, new_cluster):
    """A primary and its standby, and the clock that both go by."""
    # The servers, which go by another user, get there.
    file = env.CLUSTERS / f"clock-of-both-{os.getpid()}"
    clock = Clock(file)
    # A clock that is put forward ends no connection between them, and no question to the standby.
    patient = {"wal_sender_timeout": 0, "wal_receiver_timeout": 0, "max_standby_streaming_delay": -1}
    with new_cluster("primary", osrm.url, clock=clock, **patient) as cluster:
        primary = Database(cluster, "postgres")
        primary.rows("CREATE EXTENSION osrm_matcher")
        with following(primary, new_cluster("standby", osrm.url, clock=clock, **patient)) as standby:
            yield primary, standby, clock
        primary.disconnect()
    file.unlink()


def test_what_a_standby_that_was_behind_catches_up_with_at_once_is_among_the_changes(clocked, osrm):
    primary, standby, clock = clocked
    insert(primary, "a", drive(osrm, recent_window(), seconds=100))
    process_all(primary)
    follow(primary, standby)
    standby.rows("SELECT pg_wal_replay_pause()")
    standby.wait_until("SELECT pg_get_wal_replay_pause_state() = 'paused'")
    for device in "bcd":
        primary.disconnect()
        clock.forward(600)
        insert(primary, device, drive(osrm, recent_window(), seconds=100))
        process_all(primary)
    standby.disconnect()
    # As a map does that has just loaded its page.
    since = standby.value("SELECT now() - interval '10 s'")
    since = standby.value("SELECT get_page_changes(%s)", (since,))["since"]
    standby.rows("SELECT pg_wal_replay_resume()")
    follow(primary, standby)
    told = standby.value("SELECT get_page_changes(%s)", (since,))
    assert {window["device"] for window in told["windows"]} >= {*"bcd"}
    assert {device for device, *_ in standby.rows("SELECT * FROM get_changes(%s)", (since,))} >= {*"bcd"}
