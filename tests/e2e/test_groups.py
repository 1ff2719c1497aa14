"""Groups of devices: each is matched by servers of its own, and which group a device is in."""

from contextlib import closing
from datetime import datetime, timedelta, timezone

import psycopg2
import pytest
from drives import drive, insert, process_all, recent_window
from grouped import bicycle_osrm, groups, keeps_to, make_group, ride  # noqa: F401

from harness.outcome import leftovers


def test_a_bicycle_is_matched_on_ways_that_are_none_for_cars(db, bicycle_osrm):
    make_group(db, "bicycles", bicycle_osrm.url, profile="cycling", pattern="^bike-")
    fixes = ride(bicycle_osrm)
    for device in ("bike-1", "car-1"):
        insert(db, device, fixes)
    process_all(db)
    assert keeps_to(db, "bike-1", fixes)
    assert not keeps_to(db, "car-1", fixes)
    assert db.rows("SELECT DISTINCT device_id, osrm_group FROM processing_batches ORDER BY 1") == [
        ("bike-1", "bicycles"), ("car-1", None)]
    assert leftovers(db) == {}


def test_the_list_comes_before_columns_and_these_before_patterns(db, bicycle_osrm):
    make_group(db, "z-listed", "http://10.0.0.1")
    make_group(db, "y-said", "http://10.0.0.1", source_column="vehicle_type", source_value="van's \\ {x}")
    make_group(db, "b-fits", "http://10.0.0.1", pattern="^one")
    make_group(db, "a-fits", "http://10.0.0.1", pattern="one$")
    make_group(db, "B-fits", "http://10.0.0.1", pattern="two")
    db.rows("INSERT INTO osrm_group_devices VALUES ('one-listed', 'z-listed')")
    db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at, vehicle_type)
               SELECT d, 24.9, 60.1, now() - age, kind
                 FROM (VALUES ('one-listed', interval '0', 'van''s \\ {x}'), ('one-said', '0', 'van''s \\ {x}'),
                              ('one-was', '1 h', 'van''s \\ {x}'), ('one-was', '0', 'lorry'),
                              ('one-old', '40 days', 'van''s \\ {x}')) AS v (d, age, kind)""")
    expected = {"one-listed": "z-listed", "one-said": "y-said", "one-was": "b-fits", "one-old": "y-said", "one": "a-fits",
                "two": "B-fits", "other": None}
    assert groups(db, expected) == expected


def test_a_column_of_an_adopted_table_says_it(db, bicycle_osrm):
    db.rows("CREATE TABLE markers (username text, coords float8[], created_at timestamptz, kind varchar)")
    db.rows("SELECT * FROM adopt_source('markers')")
    make_group(db, "bicycles", bicycle_osrm.url, source_column="kind", source_value="bicycle")
    fixes = ride(bicycle_osrm)
    for device, kind in (("ann", "bicycle"), ("bob", "car")):
        for lon, lat, at in fixes:
            db.rows("INSERT INTO markers VALUES (%s, %s, %s, %s)", (device, [lon, lat], at, kind))
    db.rows("CALL process_pending(60)")
    assert groups(db, ("ann", "bob")) == {"ann": "bicycles", "bob": None}
    assert keeps_to(db, "ann", fixes)
    assert not keeps_to(db, "bob", fixes)


def test_a_column_that_is_gone_stops_nothing_and_is_told(db, osrm, bicycle_osrm):
    db.rows("CREATE TABLE markers (username text, coords float8[], created_at timestamptz, kind text)")
    db.rows("SELECT * FROM adopt_source('markers')")
    make_group(db, "bicycles", bicycle_osrm.url, source_column="kind", source_value="bicycle")
    alerts = "SELECT message FROM worker_alerts() WHERE problem = 'group_column_missing'"
    assert db.rows(alerts) == []
    db.rows("ALTER TABLE markers DROP COLUMN kind")
    assert db.rows(alerts) == [("group bicycles goes by column kind, which no table of points has",)]
    for lon, lat, at in drive(osrm, recent_window(), 300):
        db.rows("INSERT INTO markers VALUES ('ann', %s, %s)", ([lon, lat], at))
    db.rows("CALL process_pending(60)")
    assert db.rows("SELECT DISTINCT osrm_group FROM processing_batches") == [(None,)]
    assert db.value("SELECT set_aside_at FROM adopted_sources") is None
    with closing(db.connect()) as session, session.cursor() as cursor:
        cursor.execute("UPDATE osrm_groups SET source_column = 'kinds'")
        assert 'no table of points has a column "kinds"' in session.notices[-1]


LABEL = """CREATE TYPE label AS (kind text);
           CREATE FUNCTION label_text(label) RETURNS text LANGUAGE plpgsql AS $$BEGIN
               IF $1.kind = 'bad' THEN RAISE 'there is no label bad' USING ERRCODE = '58P01'; END IF; RETURN $1.kind; END$$;
           CREATE CAST (label AS text) WITH FUNCTION label_text(label)"""


@pytest.mark.parametrize("table", ["gps_coordinates", "markers"])
def test_a_column_that_cannot_be_read_of_a_row_concerns_its_device_alone(db, bicycle_osrm, table):
    db.rows(LABEL)
    if table == "markers":
        db.rows("CREATE TABLE markers (device_id text, longitude float8, latitude float8, recorded_at timestamptz)")
        db.rows("SELECT * FROM adopt_source('markers', 'device_id', 'recorded_at', NULL, 'longitude', 'latitude')")
    db.rows(f"ALTER TABLE {table} ADD COLUMN label label")
    make_group(db, "bicycles", bicycle_osrm.url, profile="cycling", source_column="label", source_value="bicycle")
    fixes = ride(bicycle_osrm)
    for device, label in (("ann", "(bicycle)"), ("bob", "(car)"), ("eve", "(bad)")):
        for lon, lat, at in fixes:
            db.rows(f"INSERT INTO {table} (device_id, longitude, latitude, recorded_at, label) VALUES (%s, %s, %s, %s, %s)",
                    (device, lon, lat, at, label))
    process_all(db)
    assert db.value(f"SELECT count(*) FROM {table} WHERE NOT processed") == 0
    assert groups(db, ("ann", "bob", "eve")) == {"ann": "bicycles", "bob": None, "eve": None}
    assert keeps_to(db, "ann", fixes)
    assert db.value("SELECT count(*) FROM adopted_sources WHERE set_aside_at IS NOT NULL") == 0
    ((message,),) = db.rows("SELECT message FROM worker_alerts() WHERE problem = 'group_unsaid'")
    assert message.endswith(f'table public.{table} does not say which group device "eve" is in: there is no label bad')
    assert db.value("SELECT set_aside FROM worker_status()") == [message]
    with closing(db.connect()) as session, session.cursor() as cursor:
        cursor.execute("SELECT FROM get_osrm_groups()")
        assert "there is no label bad" in session.notices[-1]


def test_a_change_of_group_is_a_rematch_away(db, bicycle_osrm):
    fixes = ride(bicycle_osrm)
    for device in ("ann", "bob"):
        insert(db, device, fixes)
    process_all(db)
    before = db.rows("SELECT encoded_polyline FROM cached_polylines WHERE device_id = 'bob' ORDER BY start_time")
    make_group(db, "bicycles", bicycle_osrm.url)
    db.rows("INSERT INTO osrm_group_devices VALUES ('ann', 'bicycles')")
    process_all(db)
    assert not keeps_to(db, "ann", fixes), "what is matched stays as it is"
    db.rows("""SELECT start_rematch(now() - interval '1 day', now(),
                                    ARRAY(SELECT device_id FROM get_osrm_groups() WHERE osrm_group = 'bicycles'))""")
    process_all(db)
    assert keeps_to(db, "ann", fixes)
    assert db.rows("SELECT DISTINCT osrm_group FROM processing_batches WHERE device_id = 'ann'") == [("bicycles",)]
    db.rows("DELETE FROM osrm_groups")
    db.rows("SELECT start_rematch(now() - interval '1 day', now())")
    process_all(db)
    assert groups(db, ("ann",)) == {"ann": None}
    assert not keeps_to(db, "ann", fixes)
    assert db.rows("SELECT encoded_polyline FROM cached_polylines WHERE device_id = 'bob' ORDER BY start_time") == before


def test_the_list_follows_its_groups(db):
    for name in ("cars", "trucks", "vans"):
        make_group(db, name, "http://10.0.0.1")
    db.rows("INSERT INTO osrm_group_devices VALUES ('ann', 'cars'), ('bob', 'trucks'), ('eve', 'vans')")
    db.rows("UPDATE osrm_groups SET name = 'lorries', profile = 'truck' WHERE name = 'trucks'")
    assert groups(db, ("ann", "bob", "eve")) == {"ann": "cars", "bob": "lorries", "eve": "vans"}
    db.rows("DELETE FROM osrm_groups WHERE name = 'cars'")
    assert db.rows("SELECT * FROM osrm_group_devices ORDER BY 1") == [("bob", "lorries"), ("eve", "vans")]
    db.rows("TRUNCATE osrm_groups")
    assert db.rows("SELECT * FROM osrm_group_devices") == []


def test_a_group_that_is_not_there_is_told_and_holds_up_no_device(db, osrm):
    with closing(db.connect()) as session, session.cursor() as cursor:
        cursor.execute("INSERT INTO osrm_group_devices VALUES ('ann', 'truks'), ('bob', 'truks')")
        assert 'there is no group "truks"' in session.notices[-1]
    assert db.rows("SELECT message FROM worker_alerts() WHERE problem = 'group_missing'") == [
        ("2 devices of osrm_group_devices are in group truks, which is not in osrm_groups",)]
    make_group(db, "fits", osrm.url, pattern="bob")
    insert(db, "ann", drive(osrm, recent_window(), 300))
    process_all(db)
    assert db.rows("SELECT DISTINCT osrm_group FROM processing_batches") == [(None,)]
    assert groups(db, ("ann", "bob")) == {"ann": None, "bob": "fits"}
    make_group(db, "truks", osrm.url)
    assert groups(db, ("ann", "bob")) == {"ann": "truks", "bob": "truks"}
    assert db.rows("SELECT message FROM worker_alerts() WHERE problem = 'group_missing'") == []


def test_an_open_window_carries_no_line_over_from_another_group(db, bicycle_osrm):
    db.set("osrm_matcher.settle_delay", "1h")
    now = datetime.now(timezone.utc).replace(second=0, microsecond=0)
    fixes = ride(bicycle_osrm, start=now - timedelta(minutes=now.minute % 5 + 5), speed=7.0)
    insert(db, "ann", fixes[:-15])
    db.rows("CALL process_pending(60)")
    assert not keeps_to(db, "ann", fixes[:-15])
    make_group(db, "bicycles", bicycle_osrm.url, pattern="ann")
    insert(db, "ann", fixes[-15:])
    db.rows("CALL process_pending(60)")
    assert db.value("SELECT bool_and(settles_at > now()) FROM processing_batches"), "it is still open"
    assert keeps_to(db, "ann", fixes)
    assert db.rows("SELECT DISTINCT osrm_group FROM processing_batches") == [("bicycles",)]


def test_batches_taken_by_hand_go_to_their_groups_servers(db, bicycle_osrm):
    make_group(db, "bicycles", bicycle_osrm.url, pattern="^bike-")
    fixes = ride(bicycle_osrm)
    insert(db, "bike-1", fixes)
    assert db.value("SELECT make_batches()") > 0
    db.rows("SELECT match_batches(ARRAY(SELECT claim_batches()))")
    assert keeps_to(db, "bike-1", fixes)


@pytest.mark.parametrize("columns, state, says", [
    ({"osrm_url": "osrm:5000"}, "22023", "it must begin with http:// or https://"),
    ({"osrm_url": "http://a, http://u:secret@b"}, "22023", "server 2: it must not carry a login"),
    ({"osrm_url": " "}, "22023", "no server is named"),
    ({"osrm_url": "http://a", "profile": "a/b"}, "22023", "a profile may hold letters"),
    ({"osrm_url": "http://a", "pattern": "("}, "2201B", "invalid regular expression"),
    ({"osrm_url": "http://a", "source_column": "kind"}, "23514", "source_column_comes_with_a_value"),
])
def test_what_cannot_be_used_is_refused(db, columns, state, says):
    for replica in ("origin", "replica"):
        db.rows("SELECT set_config('session_replication_role', %s, false)", (replica,))
        with pytest.raises(psycopg2.Error) as caught:
            make_group(db, "g", columns["osrm_url"], **{k: v for k, v in columns.items() if k != "osrm_url"})
        assert caught.value.pgcode == state
        assert says in caught.value.diag.message_primary
        assert "secret" not in caught.value.diag.message_primary
    assert db.rows("SELECT FROM osrm_groups") == []
