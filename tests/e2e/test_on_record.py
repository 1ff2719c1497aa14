"""What has still to be done is always on record: a run that ends early, another window length or upkeep
leave no line that differs from a match from scratch."""

from datetime import timedelta

import pytest
from drives import drive, insert, recent_window
from harness.fault_server import FaultServer
from scratch import assert_as_from_scratch, match_all

HOUR = recent_window(240, length=60)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def faults(db, osrm):
    with FaultServer(upstream=osrm) as server:
        db.set("osrm_matcher.osrm_url", server.url)
        db.set("osrm_matcher.concurrency", 1)
        yield server


def run_while_it_goes_away(db, faults, after):
    """A run whose server answers so many requests, and nothing after that, not even a probe."""
    before = len(faults.matches())
    probed = len(faults.probes())
    faults.poison_fault = "error_502"
    faults.poison = lambda lon, lat: len(faults.matches()) - before >= after and len(faults.probes()) > probed
    row = db.row("SELECT * FROM process_pending_gps()")
    faults.poison = lambda lon, lat: False
    return row


def run_while_it_chokes(db, faults, _):
    """A run whose server answers probes, and fails at everything else."""
    faults.poison_fault = "error_500"
    faults.poison = lambda lon, lat: lon > 1
    row = db.row("SELECT * FROM process_pending_gps()")
    faults.poison = lambda lon, lat: False
    db.rows("UPDATE processing_batches SET next_attempt_at = now() WHERE status = 'pending'")
    return row


def assert_all_as_from_scratch(db):
    match_all(db)
    assert_as_from_scratch(db)


@pytest.mark.parametrize("spoilt_run", [run_while_it_goes_away, run_while_it_chokes])
@pytest.mark.parametrize("before, after", [("1h", "5min"), ("5min", "1h"), ("1h", "1min")])
def test_another_window_length_survives_a_run_that_ends_early(db, osrm, faults, before, after, spoilt_run):
    fixes = drive(osrm, HOUR, 3600, interval=10)
    db.set("osrm_matcher.window", before)
    insert(db, "car", fixes[:200] + fixes[201:])
    match_all(db)
    db.set("osrm_matcher.window", after)
    insert(db, "car", fixes[200:201])
    assert spoilt_run(db, faults, 0)["windows_deferred"] > 0
    assert_all_as_from_scratch(db)


def test_no_old_line_lies_under_a_new_one_while_other_windows_wait(db, osrm, faults):
    fixes = drive(osrm, HOUR, 3600, interval=10)
    db.set("osrm_matcher.window", "1h")
    insert(db, "car", fixes[:200] + fixes[201:])
    match_all(db)
    db.set("osrm_matcher.window", "5min")
    insert(db, "car", fixes[200:201])
    far = fixes[60][:2]  # in the third window
    faults.poison_fault = "error_500"
    faults.poison = lambda lon, lat: abs(lon - far[0]) + abs(lat - far[1]) < 0.0003
    row = db.row("SELECT * FROM process_pending_gps()")
    assert row["windows_completed"] > 0 and row["windows_deferred"] > 0
    assert db.rows("""SELECT a.start_time, a.end_time, b.start_time FROM cached_polylines a JOIN cached_polylines b
                          ON b.start_time > a.start_time AND b.start_time < a.end_time""") == []
    faults.poison = lambda lon, lat: False
    db.rows("UPDATE processing_batches SET next_attempt_at = now() WHERE status = 'pending'")
    assert_all_as_from_scratch(db)


def test_a_finished_neighbour_that_a_run_left_untried_is_done_later(db, osrm, faults):
    fixes = drive(osrm, HOUR, 1800)
    late = fixes[:180]  # the first slot
    cut_between = 0
    for answered in range(1, 60):
        db.rows("TRUNCATE gps_coordinates, processing_batches, known_seams, cached_polylines, stops")
        insert(db, "car", fixes[180:])
        match_all(db)
        insert(db, "car", late)
        row = run_while_it_goes_away(db, faults, answered)
        if row["windows_deferred"] == 0:
            break
        cut_between += row["windows_completed"] > 0
        assert_all_as_from_scratch(db)
    assert cut_between > 0, "no run ended between the two slots"


def test_a_window_of_an_earlier_length_is_found_as_a_neighbour(db, osrm):
    fixes = drive(osrm, HOUR + 50 * MINUTE, 1200)
    late = [fix for fix in fixes if HOUR + 60 * MINUTE <= fix[2] < HOUR + 61 * MINUTE]
    db.set("osrm_matcher.window", "1h")
    insert(db, "car", [fix for fix in fixes if fix[2] < HOUR + 60 * MINUTE])
    match_all(db)
    db.set("osrm_matcher.window", "5min")
    insert(db, "car", late)
    assert_all_as_from_scratch(db)


def test_points_that_come_after_upkeep_change_their_neighbours_too(db, osrm):
    start = recent_window() - timedelta(days=40)
    fixes = drive(osrm, start, 900)
    insert(db, "car", fixes[:48] + fixes[60:])
    match_all(db)
    db.rows("CALL upkeep(paths_older_than => '1 year')")
    insert(db, "car", fixes[48:60])
    assert_all_as_from_scratch(db)


def test_upkeep_leaves_no_batch_behind_whose_lines_are_gone(db, osrm):
    insert(db, "car", drive(osrm, recent_window() - timedelta(days=40), 900))
    insert(db, "car", drive(osrm, recent_window(), 900))
    match_all(db)
    db.rows("CALL upkeep()")
    assert db.value("SELECT count(*) FROM processing_batches WHERE start_time < now() - interval '30 days'") == 0
    assert db.value("SELECT count(*) FROM cached_polylines WHERE start_time < now() - interval '30 days'") == 0
    assert db.value("SELECT count(*) FROM processing_batches") > 0
