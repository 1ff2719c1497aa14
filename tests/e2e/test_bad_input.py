"""What devices send that they should not: refused at the door with a clear error, or counted and set
aside. Nothing of it stops the others, nothing of it is deleted, nothing is asked about for ever."""

from datetime import timedelta

import psycopg2
import pytest
from psycopg2.extras import execute_values

from drives import drive, insert, paths, process_all, recent_window, waiting
from harness.outcome import leftovers
from scratch import forget_all

START = recent_window(60)
INSERT = "INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at) VALUES (%s, %s, %s, %s)"


@pytest.mark.parametrize("device, longitude, latitude, recorded_at, constraint", [
    ("a", "NaN", 60, START, "longitude_is_between"),
    ("a", "Infinity", 60, START, "longitude_is_between"),
    ("a", "-Infinity", 60, START, "longitude_is_between"),
    ("a", 180.0001, 60, START, "longitude_is_between"),
    ("a", 24, "NaN", START, "latitude_is_between"),
    ("a", 24, "Infinity", START, "latitude_is_between"),
    ("a", 60.17, 124.9, START, "latitude_is_between"),
    ("a", 24, -90.0001, START, "latitude_is_between"),
    ("a", 24, 60, "infinity", "recorded_at_is_finite"),
    ("a", 24, 60, "-infinity", "recorded_at_is_finite"),
    ("", 24, 60, START, "device_id_is_1_to_255_bytes"),
    ("x" * 10_000, 24, 60, START, "device_id_is_1_to_255_bytes"),
    ("ä" * 128, 24, 60, START, "device_id_is_1_to_255_bytes"),
])
def test_refused_at_the_door(db, device, longitude, latitude, recorded_at, constraint):
    with pytest.raises(psycopg2.errors.CheckViolation) as caught:
        db.rows(INSERT, (device, longitude, latitude, recorded_at))
    assert constraint in caught.value.diag.constraint_name


@pytest.fixture
def good(db, osrm):
    """A device that does nothing wrong, and its paths."""
    insert(db, "good", drive(osrm, START, 600))
    process_all(db)
    good = paths(db)
    forget_all(db)
    return good


def assert_the_good_one_is_unharmed(db, good):
    process_all(db)
    assert [row for row in paths(db) if row[0] == "good"] == good
    assert leftovers(db) == {}
    assert db.row("SELECT * FROM process_pending_gps()")["osrm_calls"] == 0


def figures(db, device):
    return db.row("SELECT sum(coordinate_count) AS points, sum(outlier_count) AS outliers,"
                  " sum(duplicate_count) AS duplicates FROM processing_batches WHERE device_id = %s", (device,))


def test_null_island_and_swapped_coordinates_are_left_out_and_counted(db, osrm, good):
    fixes = drive(osrm, START, 600, seed=2)
    spoilt = list(fixes)
    for n in (10, 50, 51, 90):
        spoilt[n] = (0.0, 0.0, fixes[n][2])
    for n in (30, 70):
        spoilt[n] = (fixes[n][1], fixes[n][0], fixes[n][2])
    insert(db, "spoilt", spoilt)
    assert_the_good_one_is_unharmed(db, good)
    assert figures(db, "spoilt") == {"points": 120, "outliers": 6, "duplicates": 0}
    lines = [row for row in paths(db) if row[0] == "spoilt"]
    assert lines and all(row[7] == "matched" for row in lines)


def test_nothing_but_null_island(db, good):
    insert(db, "lost", [(0.0, 0.0, START + timedelta(seconds=n)) for n in range(50)])
    assert_the_good_one_is_unharmed(db, good)
    assert figures(db, "lost")["outliers"] == 50
    assert [row for row in paths(db) if row[0] == "lost"] == []


@pytest.mark.parametrize("place", [(180.0, 90.0), (-180.0, -90.0), (0.0, 90.0), (179.9999, 0.0)])
def test_the_ends_of_the_world(db, good, place):
    insert(db, "edge", [(place[0], place[1], START + timedelta(seconds=n)) for n in range(0, 100, 10)]
           + [(-place[0], place[1], START + timedelta(seconds=150))])
    assert_the_good_one_is_unharmed(db, good)


def test_thousands_at_one_moment(db, osrm, good):
    fixes = drive(osrm, START, 300, seed=3)
    insert(db, "stuck", [(*fix[:2], START) for fix in fixes] * 60)
    insert(db, "bursts", [fix for fix in fixes for _ in range(50)])
    assert_the_good_one_is_unharmed(db, good)
    assert figures(db, "stuck") == {"points": 3600, "outliers": 0, "duplicates": 3599}
    assert figures(db, "bursts")["duplicates"] == 49 * 60
    assert {row[7] for row in paths(db) if row[0] == "bursts"} == {"matched"}


@pytest.mark.parametrize("moment", ["4714-11-24 00:00:00+00 BC", "1970-01-01", "2100-01-01", "294276-12-31 23:59:59+00"])
def test_far_past_and_far_future_wait_and_harm_nobody(db, good, moment):
    """Points of long ago are left to a backfill, those of the future to their time."""
    db.rows(INSERT, ("traveller", 24.94, 60.17, moment))
    process_all_but_one(db)
    assert [row for row in paths(db) if row[0] == "good"] == good
    row = db.row("SELECT * FROM process_pending_gps()")
    assert (row["windows_completed"], row["osrm_calls"]) == (0, 0)
    assert db.value("SELECT count(*) FROM gps_coordinates WHERE device_id = 'traveller' AND NOT processed") == 1


def process_all_but_one(db):
    db.rows("CALL process_pending(60)")
    assert waiting(db) == 1


def test_a_device_that_has_good_points_beside_absurd_ones(db, osrm, good):
    """The absurd ones neither hide the good ones nor take their turn."""
    insert(db, "good", [(24.94, 60.17, "294000-01-01"), (24.94, 60.17, "0044-03-15 BC")])
    db.rows("CALL process_pending(60)")
    assert waiting(db) == 2
    assert [row for row in paths(db) if row[0] == "good"] == good


@pytest.mark.parametrize("accuracy", ["NaN", "Infinity", "-Infinity", "-1", "0", "1e-300", "1e308", "1000000"])
def test_accuracies_that_are_none(db, osrm, good, accuracy):
    insert(db, "vague", drive(osrm, START, 300, seed=4))
    db.rows("UPDATE gps_coordinates SET accuracy = %s WHERE device_id = 'vague'", (accuracy,))
    assert_the_good_one_is_unharmed(db, good)
    assert figures(db, "vague")["points"] == 60


NAMES = ["o'hara", '"quoted"', "new\nline", "tab\tand space ", "100%", "%s %d", "{device}", "$1", "\\", "--", ";",
         "Ω≈ç√ 🚚", "x" * 255, "NULL", "a,b", "{a,b}", "../..", "\u202eleft"]


def test_names_that_are_awkward(db, osrm, good):
    fixes = drive(osrm, START, 300, seed=5)
    for name in NAMES:
        insert(db, name, fixes)
    assert_the_good_one_is_unharmed(db, good)
    lines = {}
    for name in NAMES:
        rows = db.rows("SELECT start_time, encoded_polyline FROM get_device_paths(%s)", (name,))
        assert rows, name
        lines[name] = rows
    assert len({tuple(rows) for rows in lines.values()}) == 1
    assert {row[0] for row in db.rows("SELECT device_id FROM processing_batches")} == {"good", *NAMES}


def test_a_hundred_thousand_points_in_one_window(db, osrm, good):
    """Hundreds a second: read, thinned and matched as one line, in bounded time."""
    db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
               SELECT 'firehose', longitude, latitude, recorded_at + n * interval '12 ms'
                 FROM gps_coordinates, generate_series(0, 832) n
                WHERE device_id = 'good'""")
    assert_the_good_one_is_unharmed(db, good)
    assert figures(db, "firehose")["points"] == 120 * 833
    assert {row[7] for row in paths(db) if row[0] == "firehose"} == {"matched"}
    assert db.value("SELECT max(extract(epoch FROM processing_completed_at - processing_started_at))"
                    "  FROM processing_batches WHERE device_id = 'firehose'") < 10


@pytest.mark.parametrize("name", ["x" * 256, "ä" * 128, "x" * 3_000, "x" * 9_000, "".join(map(chr, range(300, 1500)))],
                         ids=["256 bytes", "256 bytes of 128 letters", "3,000 bytes", "9,000 bytes", "2,400 bytes that differ"])
def test_points_of_a_device_with_too_long_a_name_are_rejected_in_an_adopted_table_and_stop_nobody(db, osrm, name):
    db.set("osrm_matcher.notify", "on")
    db.rows("CREATE TABLE markers (username text, coords float8[], created_at timestamptz)")
    db.rows("SELECT * FROM adopt_source('markers')")
    for age in ("0", "3 h", "3 h", "40 days"):
        db.rows("INSERT INTO markers VALUES (%s, '{24.94,60.17}', now() - %s::interval)", (name, age))
    for lon, lat, at in drive(osrm, START, 300):
        db.rows("INSERT INTO markers VALUES (%s, ARRAY[%s, %s], %s)", ("x" * 255, lon, lat, at))
    process_all(db)
    assert db.value("SELECT count(*) FROM markers WHERE NOT processed") == 0
    assert db.value("SELECT sum(rejected) FROM worker_runs") == 4
    db.rows("SELECT start_rematch(now() - interval '50 days', now()), start_rematch(now() - interval '50 days', now(), %s)", ([name],))
    process_all(db)
    assert db.value("SELECT bool_and(status = 'done') FROM get_jobs()")
    assert db.rows("SELECT DISTINCT device_id, status FROM processing_batches") == [("x" * 255, "completed")]


def test_rows_of_an_adopted_table_that_hold_nothing_usable(db, osrm):
    """They are marked and counted, never deleted, and the good ones among them are matched."""
    db.rows("CREATE TABLE markers (id serial PRIMARY KEY, username text, coords float8[], created_at timestamptz)")
    db.rows("SELECT * FROM adopt_source('markers')")
    fixes = drive(osrm, START, 300)
    connection = db.connect()
    execute_values(connection.cursor(), "INSERT INTO markers (username, coords, created_at) VALUES %s",
                   [("bus", list(fix[:2]), fix[2]) for fix in fixes])
    connection.close()
    bad = ["NULL", "'{}'", "'{24.9}'", "'{24.9,60.1,3}'", "'{{24.9,60.1}}'", "'{{24.9},{60.1}}'", "'{NaN,60.1}'",
           "'{24.9,Infinity}'", "'{NULL,60.1}'", "'{24.9,NULL}'", "'{60.1,124.9}'", "'[0:1]={240.9,60.1}'"]
    for coords in bad:
        db.rows(f"INSERT INTO markers (username, coords, created_at) VALUES ('bus', {coords}, %s)", (START,))
    for username, moment in ((None, START), ("bus", None), ("bus", "infinity"), ("bus", "-infinity"), ("", START),
                             ("x" * 10_000, START)):
        db.rows("INSERT INTO markers (username, coords, created_at) VALUES (%s, '{24.9,60.1}', %s)", (username, moment))
    total = db.value("SELECT count(*) FROM markers")
    rejected = 0
    for _ in range(3):
        row = db.row("SELECT * FROM process_pending_gps()")
        rejected += row["rejected"]
    assert (row["windows_completed"], row["osrm_calls"], row["rejected"]) == (0, 0, 0)
    assert db.value("SELECT count(*) FROM markers") == total
    assert db.rows("SELECT id, username, coords, created_at FROM markers WHERE NOT processed") == []
    assert rejected >= len(bad)
    assert {row[7] for row in paths(db) if row[0] == "bus"} == {"matched"}
