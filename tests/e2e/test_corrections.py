"""Points that are corrected, moved, deleted or forgotten leave no line behind that does not follow from the
points that are there."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from threading import Event

import psycopg2
import pytest
from drives import drive, insert, paths, process_all, recent_window, waiting
from harness.fault_server import FaultServer, is_probe
from harness.outcome import decided, leftovers
from scratch import assert_as_from_scratch, from_scratch, shown

START = recent_window(120)
MINUTE = timedelta(minutes=1)
WINDOW = 5 * MINUTE


@pytest.fixture
def matched(db, osrm):
    """Four windows of a drive, and another device that nothing must happen to."""
    fixes = drive(osrm, START, 1200)
    insert(db, "car", fixes)
    insert(db, "van", drive(osrm, START, 600, seed=2))
    process_all(db)
    return db


def lines_of(db, device):
    return [row for row in paths(db) if row[0] == device]


def test_a_corrected_coordinate_changes_its_windows(matched):
    before = shown(matched)
    matched.rows("""UPDATE gps_coordinates SET latitude = latitude + 0.0004, processed = false
                     WHERE device_id = 'car' AND recorded_at = %s""", (START + 2 * WINDOW,))
    process_all(matched)
    assert shown(matched) != before
    assert_as_from_scratch(matched)


@pytest.mark.parametrize("seconds", [1, 400, 3600])
def test_a_window_that_its_points_were_moved_away_from_loses_its_line(matched, seconds):
    matched.rows("""UPDATE gps_coordinates SET recorded_at = recorded_at + %s * interval '1 s', processed = false
                     WHERE device_id = 'car' AND recorded_at >= %s AND recorded_at < %s""",
                 (seconds, START + WINDOW, START + 2 * WINDOW))
    assert_as_from_scratch(matched)


def test_a_single_point_that_is_moved_across_an_edge(matched):
    matched.rows("""UPDATE gps_coordinates SET recorded_at = recorded_at + interval '6 s', processed = false
                     WHERE device_id = 'car' AND recorded_at = %s""", (START + WINDOW - timedelta(seconds=5),))
    assert_as_from_scratch(matched)


def test_points_that_are_moved_within_their_window_were_known_to_the_one_after_it(matched):
    """Where they are now, that one does not look."""
    matched.rows("""UPDATE gps_coordinates SET recorded_at = recorded_at - interval '252 s', processed = false
                     WHERE device_id = 'car' AND recorded_at >= %s AND recorded_at < %s""",
                 (START + 3 * WINDOW - timedelta(seconds=45), START + 3 * WINDOW - timedelta(seconds=5)))
    process_all(matched)
    history = decided(matched)
    from_scratch(matched)
    assert history == decided(matched)


@pytest.mark.parametrize("begin, end", [(0, 4), (2, 4), (0, 2), (1, 3)], ids=["all", "the end", "the begin", "the middle"])
@pytest.mark.parametrize("other", ["lorry", "van"])
def test_points_that_are_given_to_another_device_leave_no_line_with_the_one_that_had_them(matched, begin, end, other):
    matched.rows("""UPDATE gps_coordinates SET device_id = %s, processed = false
                     WHERE device_id = 'car' AND recorded_at >= %s AND recorded_at < %s""",
                 (other, START + begin * WINDOW, START + end * WINDOW))
    process_all(matched)
    assert (lines_of(matched, "car") == []) == ((begin, end) == (0, 4)) and lines_of(matched, other) != []
    assert_as_from_scratch(matched)


def test_who_keeps_a_copy_is_told_of_windows_that_points_were_taken_from(matched):
    matched.rows("""UPDATE gps_coordinates SET device_id = 'lorry', processed = false
                     WHERE device_id = 'car' AND recorded_at >= %s""", (START + 3 * WINDOW,))
    process_all(matched)
    told = matched.rows("SELECT window_start, match_status FROM get_changes(now(), '{car}')")
    assert (START + 3 * WINDOW, None) in told


def test_two_devices_that_are_swapped(matched):
    matched.rows("""UPDATE gps_coordinates SET device_id = CASE device_id WHEN 'car' THEN 'van' ELSE 'car' END, processed = false""")
    process_all(matched)
    assert_as_from_scratch(matched)


def test_many_windows_of_two_devices_that_are_swapped(db, osrm):
    """More than are written at a time: what is to be done once more is so for the devices of several lots."""
    db.set("osrm_matcher.window", "1min")
    for device, seed in (("car", 1), ("van", 2)):
        insert(db, device, drive(osrm, START, 6000, interval=15, seed=seed))
    process_all(db)
    test_two_devices_that_are_swapped(db)


def test_points_of_one_window_that_are_given_to_two_devices_while_another_is_in_the_way(matched):
    """Each window is written by itself then, and either asks for the one that both had their points from."""
    matched.rows("""UPDATE gps_coordinates
                       SET device_id = CASE extract(second FROM recorded_at)::int %% 3 WHEN 0 THEN 'car' WHEN 1 THEN 'lorry' ELSE 'tram' END,
                           processed = false
                     WHERE device_id = 'car' AND recorded_at < %s""", (START + WINDOW,))
    matched.rows("UPDATE gps_coordinates SET processed = false WHERE device_id = 'van'")
    matched.rows("""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not now'; END$$;
                    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON cached_polylines FOR EACH ROW
                    WHEN (NEW.device_id = 'van') EXECUTE FUNCTION refuse()""")
    matched.rows("CALL process_pending(60)")
    assert not matched.value("SELECT bool_or(NOT processed) FROM gps_coordinates WHERE device_id <> 'van'")
    matched.rows("DROP TRIGGER refuse ON cached_polylines")
    matched.rows("UPDATE processing_batches SET next_attempt_at = now() WHERE status = 'pending'")
    assert_as_from_scratch(matched)


def test_a_window_that_cannot_be_made_due_again_stops_no_other(matched):
    """It is one of the round in which points of it are stored as another device's."""
    matched.rows("""UPDATE gps_coordinates SET device_id = 'lorry', processed = false
                     WHERE device_id = 'van' AND recorded_at >= %s AND recorded_at < %s""", (START + MINUTE, START + 4 * MINUTE))
    matched.rows("UPDATE gps_coordinates SET processed = false WHERE device_id IN ('car', 'van')")
    matched.rows("""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not again'; END$$;
                    CREATE TRIGGER refuse BEFORE UPDATE ON processing_batches FOR EACH ROW
                    WHEN (NEW.device_id = 'van' AND NEW.status = 'pending') EXECUTE FUNCTION refuse()""")
    with closing(matched.connect()) as worker:
        worker.cursor().execute("CALL process_pending(60)")
        (warning,) = worker.notices
    assert 'could not put windows of device "van" on record: not again' in warning
    assert waiting(matched) == 0 and lines_of(matched, "lorry")


def test_rows_of_an_adopted_table_that_are_given_to_another_device(matched):
    matched.rows("""CREATE TABLE markers (id serial PRIMARY KEY, username text, coords float8[], created_at timestamptz);
                    INSERT INTO markers (username, coords, created_at)
                    SELECT device_id, ARRAY[longitude, latitude], recorded_at FROM gps_coordinates;
                    DELETE FROM gps_coordinates; SELECT forget_device('car'), forget_device('van');
                    SELECT adopt_source('markers')""")
    process_all(matched)
    before = lines_of(matched, "car")
    matched.rows("UPDATE markers SET username = 'lorry', processed = false WHERE username = 'car' AND created_at >= %s",
                 (START + 2 * WINDOW,))
    process_all(matched)
    assert [line[1] for line in lines_of(matched, "car")] == [line[1] for line in before[:2]]
    history = shown(matched)
    matched.rows("UPDATE markers SET processed = false, batch_id = NULL")
    assert history == from_scratch(matched)


@pytest.mark.parametrize("held", ["SELECT FROM processing_batches WHERE device_id = 'car' FOR UPDATE", "SELECT _lock_device('car')"],
                         ids=["its windows", "the device"])
def test_points_wait_while_another_has_the_device_that_they_were_taken_from(matched, held):
    matched.rows("UPDATE gps_coordinates SET device_id = 'lorry', processed = false WHERE device_id = 'car'")
    with closing(matched.connect(autocommit=False)) as other:
        other.cursor().execute(held)
        matched.rows("CALL process_pending(10)")
        assert waiting(matched) == 240
        assert matched.rows("SELECT DISTINCT status, error_code FROM processing_batches WHERE device_id = 'lorry'") == [("pending", "Locked")]
    matched.rows("UPDATE processing_batches SET next_attempt_at = now() WHERE status = 'pending'")
    assert_as_from_scratch(matched)


@pytest.mark.parametrize("begin, end", [(WINDOW, 2 * WINDOW), (WINDOW - MINUTE / 2, WINDOW),
                                        (3 * WINDOW, 4 * WINDOW)])
def test_a_rematch_sees_that_points_were_deleted(matched, begin, end):
    matched.rows("DELETE FROM gps_coordinates WHERE device_id = 'car' AND recorded_at >= %s AND recorded_at < %s",
                 (START + begin, START + end))
    job = matched.value("SELECT start_rematch(%s, %s, '{car}')", (START + begin, START + end))
    process_all(matched)
    assert matched.value("SELECT status FROM get_jobs() WHERE job_id = %s", (job,)) == "done"
    assert_as_from_scratch(matched)


def test_a_rematch_keeps_lines_whose_points_went_because_of_their_age(matched):
    before = lines_of(matched, "car")
    matched.rows("DELETE FROM gps_coordinates WHERE device_id = 'car' AND recorded_at < %s", (START + 3 * WINDOW,))
    matched.rows("DELETE FROM gps_coordinates WHERE device_id = 'van'")
    van = lines_of(matched, "van")
    matched.rows("SELECT start_rematch(%s, %s)", (START - 10 * WINDOW, START + 10 * WINDOW))
    process_all(matched)
    assert lines_of(matched, "car")[:3] == before[:3]
    assert lines_of(matched, "van") == van != []


def test_a_device_is_forgotten_as_a_whole(matched):
    van = lines_of(matched, "van")
    matched.rows("SELECT get_device_page('car')")
    gone = matched.row("SELECT * FROM forget_device('car', with_points => true)")
    assert gone["points"] == 240 and gone["reads"] == 1 and gone["paths"] > 0 and gone["batches"] == 4
    for table in "gps_coordinates", "cached_polylines", "stops", "processing_batches", "path_reads":
        assert matched.value(f"SELECT count(*) FROM {table} WHERE device_id = 'car'") == 0, table
    assert_as_from_scratch(matched)
    assert lines_of(matched, "van") == van != []


@pytest.mark.parametrize("begin, end", [(WINDOW, 2 * WINDOW), (WINDOW + MINUTE, 3 * WINDOW + MINUTE)])
def test_a_range_is_forgotten_at_once_and_what_is_around_it_matched_anew(matched, begin, end):
    begin, end = START + begin, START + end
    matched.rows("SELECT * FROM forget_device('car', %s, %s, with_points => true)", (begin, end))
    assert not [line for line in lines_of(matched, "car") if line[1] < end and line[2] > begin]
    assert_as_from_scratch(matched)
    assert lines_of(matched, "car")[0][1] == START
    assert not [line for line in lines_of(matched, "car") if begin <= line[1] < end]


def test_points_of_adopted_tables_that_are_left_are_matched_anew(matched):
    matched.rows("""CREATE TABLE markers (id serial PRIMARY KEY, username text, coords float8[], created_at timestamptz);
                    INSERT INTO markers (username, coords, created_at)
                    SELECT device_id, ARRAY[longitude, latitude], recorded_at + interval '1 s' FROM gps_coordinates;
                    SELECT adopt_source('markers')""")
    process_all(matched)
    matched.rows("SELECT forget_device('car', %s, %s, with_points => true)", (START + WINDOW, START + 3 * WINDOW))
    process_all(matched)
    assert leftovers(matched).keys() <= {"batches_that_miscount"}  # it counts gps_coordinates alone
    history = shown(matched)
    matched.rows("UPDATE markers SET processed = false, batch_id = NULL")
    assert history == from_scratch(matched)


def test_lines_alone_are_forgotten_and_stay_so_until_a_rematch(matched):
    before = shown(matched)
    gone = matched.row("SELECT * FROM forget_device('car', %s, %s)", (START + WINDOW, START + 2 * WINDOW))
    assert (gone["batches"], gone["points"]) == (1, 0)
    process_all(matched)
    assert not [line for line in lines_of(matched, "car") if START + WINDOW <= line[1] < START + 2 * WINDOW]
    matched.rows("SELECT start_rematch(%s, %s, '{car}')", (START + WINDOW, START + 2 * WINDOW))
    process_all(matched)
    assert shown(matched) == before


def test_what_longer_windows_of_earlier_held_beside_the_range_is_matched_anew(matched):
    before = lines_of(matched, "car")
    matched.set("osrm_matcher.window", "1h")
    matched.rows("SELECT start_rematch(%s, %s, '{car}')", (START, START + 4 * WINDOW))
    process_all(matched)
    matched.set("osrm_matcher.window", "5min")
    matched.rows("SELECT forget_device('car', %s, %s)", (START + WINDOW, START + 2 * WINDOW))
    process_all(matched)
    forgotten = [line for line in before if START + WINDOW <= line[1] < START + 2 * WINDOW]
    assert lines_of(matched, "car") == [line for line in before if line not in forgotten]


def test_a_rematch_of_a_moment_matches_its_window_though_no_point_lies_in_it(matched):
    before = shown(matched)
    at = START + WINDOW + timedelta(seconds=2)  # between two fixes
    matched.rows("SELECT forget_device('car', %s, %s)", (at, at + timedelta(seconds=1)))
    matched.rows("SELECT start_rematch(%s, %s, '{car}')", (at, at + timedelta(seconds=1)))
    process_all(matched)
    assert shown(matched) == before


def test_what_was_forgotten_of_a_long_window_comes_back_though_windows_are_short_when_the_job_gets_there(db, osrm):
    start = recent_window(120, 60)
    insert(db, "car", drive(osrm, start, 1200))
    db.set("osrm_matcher.window", "1h")
    process_all(db)
    minute = (start + WINDOW, start + WINDOW + timedelta(minutes=1))
    db.rows("SELECT forget_device('car', %s, %s)", minute)
    db.rows("SELECT start_rematch(%s, %s, '{car}')", minute)
    db.set("osrm_matcher.window", "1min")
    assert_as_from_scratch(db)


@pytest.mark.parametrize("before_the_hour", [0, 3], ids=["within one hour", "at the edge of two"])
def test_a_rematch_sees_what_was_deleted_from_longer_windows_of_earlier(db, osrm, before_the_hour):
    start = recent_window(120, 60) - before_the_hour * WINDOW
    insert(db, "car", drive(osrm, start, 1200))
    db.set("osrm_matcher.window", "1h")
    process_all(db)
    db.set("osrm_matcher.window", "5min")
    gone = (start + WINDOW, start + 3 * WINDOW)
    db.rows("DELETE FROM gps_coordinates WHERE device_id = 'car' AND recorded_at >= %s AND recorded_at < %s", gone)
    db.rows("SELECT start_rematch(%s, %s, '{car}')", gone)
    assert_as_from_scratch(db)


def test_a_rematch_sees_what_was_deleted_though_a_run_has_found_the_window_empty(matched):
    gone = (START + 2 * WINDOW, START + 3 * WINDOW)
    matched.rows("DELETE FROM gps_coordinates WHERE device_id = 'car' AND recorded_at >= %s AND recorded_at < %s", gone)
    job = matched.value("SELECT start_rematch(%s, %s, '{car}')", gone)
    matched.rows("SELECT stop_job(%s)", (job,))
    matched.rows("""UPDATE gps_coordinates SET latitude = latitude + 0.0004, processed = false
                     WHERE device_id = 'car' AND recorded_at = %s""", (START + WINDOW,))
    process_all(matched)
    assert matched.value("SELECT coordinate_count FROM processing_batches WHERE device_id = 'car' AND start_time = %s",
                         gone[:1]) == 0
    matched.rows("SELECT resume_job(%s)", (job,))
    assert_as_from_scratch(matched)


def test_what_a_run_has_in_hand_is_forgotten_after_it(matched):
    matched.rows("SELECT start_rematch(%s, %s, '{car}')", (START, START + WINDOW))
    with closing(matched.connect(autocommit=False)) as worker:
        worker.cursor().execute("SELECT process_pending_gps()")
        matched.rows("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            matched.rows("SELECT forget_device('car')")
        worker.commit()
    matched.rows("SELECT forget_device('car')")
    assert lines_of(matched, "car") == []


@pytest.mark.parametrize("change", ["UPDATE gps_coordinates SET recorded_at = recorded_at + interval '1500 s'",
                                    "DELETE FROM gps_coordinates"], ids=["moved", "deleted"])
def test_a_point_that_goes_while_a_run_has_it_in_hand_leaves_nothing_behind(db, osrm, change):
    insert(db, "car", drive(osrm, START, 1200))
    asked, changed = Event(), Event()

    def hold(target):
        if not is_probe(target):
            asked.set()
            assert changed.wait(30)
        return "forward"

    with FaultServer(upstream=osrm) as faults, ThreadPoolExecutor() as other:
        db.set("osrm_matcher.osrm_url", faults.url)
        faults.fault_for = hold
        with closing(db.connect()) as worker:
            run = other.submit(worker.cursor().execute, "SELECT process_pending_gps()")
            assert asked.wait(30)
            db.rows(f"{change} WHERE device_id = 'car' AND recorded_at = %s", (START + 3 * WINDOW - MINUTE,))
            changed.set()
            run.result()
        assert_as_from_scratch(db)


def test_a_point_that_is_corrected_while_a_run_marks_it_is_read_again(db, osrm):
    fixes = drive(osrm, START, 600)
    insert(db, "car", fixes)
    # In the midst of marking, the run waits at the first point until the correction is committed.
    db.rows("CREATE TABLE corrections (corrected_at timestamptz)")
    db.rows("""CREATE FUNCTION wait_for_correction() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN
                   FOR attempt IN 1..3000 LOOP
                       EXIT WHEN EXISTS (SELECT FROM public.corrections);
                       PERFORM pg_sleep(0.01);
                   END LOOP;
                   RETURN NEW;
               END $$""")
    db.rows(f"""CREATE TRIGGER wait_for_correction BEFORE UPDATE ON gps_coordinates FOR EACH ROW
                WHEN (NEW.processed AND NEW.recorded_at = '{fixes[0][2]}') EXECUTE FUNCTION wait_for_correction()""")
    with ThreadPoolExecutor() as other, closing(db.connect()) as worker:
        run = other.submit(worker.cursor().execute, "SELECT process_pending_gps()")
        db.wait_until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query ~ 'process_pending')")
        db.rows("UPDATE gps_coordinates SET latitude = latitude + 0.01 WHERE recorded_at = %s", (fixes[-1][2],))
        db.rows("INSERT INTO corrections VALUES (now())")
        run.result()
    assert_as_from_scratch(db)


@pytest.mark.parametrize("arguments", ["NULL", "'car', NULL", "'car', now(), NULL", "'car', with_points => NULL"])
def test_nothing_is_forgotten_by_a_null(matched, arguments):
    with pytest.raises(psycopg2.errors.NullValueNotAllowed, match="nothing is forgotten"):
        matched.rows(f"SELECT forget_device({arguments})")


def test_a_range_that_ends_before_it_begins_forgets_nothing(matched):
    before = paths(matched)
    with pytest.raises(psycopg2.errors.InvalidParameterValue):
        matched.rows("SELECT forget_device('car', %s, %s)", (START + 2 * WINDOW, START + WINDOW))
    assert paths(matched) == before != []
