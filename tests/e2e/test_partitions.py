"""Points in a partitioned table: its parent is adopted, and partitions come and go as they always did."""

import threading
from contextlib import closing
from datetime import timedelta

import pytest

from drives import drive, insert, paths, process_all, recent_window
from test_adoption import fill_markers, shape
from test_search_cost import pages

COLUMNS = "id bigserial, username text, coords double precision[], created_at timestamptz DEFAULT now()"
START = recent_window(60)
LINES = "SELECT start_time, end_time, encoded_polyline FROM get_device_paths(%s)"
INDEXES = """SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
              WHERE c.relname LIKE 'markers%%' AND c.relkind = 'r' AND i.indisvalid
                AND (SELECT relispartition FROM pg_class WHERE oid = i.indexrelid)"""

TREES = {
    "range": ["PARTITION BY RANGE (created_at)",
              "CREATE TABLE markers_now PARTITION OF markers FOR VALUES FROM ('{middle}') TO (MAXVALUE)",
              "CREATE TABLE markers_old PARTITION OF markers FOR VALUES FROM (MINVALUE) TO ('{middle}')"],
    "list": ["PARTITION BY LIST (username)",
             "CREATE TABLE markers_car PARTITION OF markers FOR VALUES IN ('car')",
             "CREATE TABLE markers_any PARTITION OF markers DEFAULT"],
    "hash": ["PARTITION BY HASH (id)",
             *(f"CREATE TABLE markers_{n} PARTITION OF markers FOR VALUES WITH (MODULUS 3, REMAINDER {n})" for n in range(3))],
    "nested": ["PARTITION BY RANGE (created_at)",
               "CREATE TABLE markers_now PARTITION OF markers FOR VALUES FROM ('{middle}') TO (MAXVALUE) PARTITION BY HASH (id)",
               *(f"CREATE TABLE markers_now_{n} PARTITION OF markers_now FOR VALUES WITH (MODULUS 2, REMAINDER {n})" for n in range(2)),
               "CREATE TABLE markers_old PARTITION OF markers DEFAULT"],
}


def make_tree(db, by="range"):
    """A table whose partitions meet in the middle of the drives."""
    form, *parts = TREES[by]
    db.rows(f"CREATE TABLE markers ({COLUMNS}) {form}")
    for part in parts:
        db.rows(part.format(middle=START + timedelta(minutes=5)))


def make_large(db):
    """Beyond the size at which indexes are built at once, with history that no run takes."""
    db.rows("""INSERT INTO markers (username, coords, created_at)
               SELECT 'u' || i % 100, '{24.9,60.1}', now() - interval '9 days' - i * interval '1 s'
                 FROM generate_series(1, 80000) i""")


def adopt(db):
    """Adopts, and does what adoption leaves to be done."""
    for statement, in db.rows("SELECT statement FROM adopt_source('markers') WHERE NOT done"):
        db.rows(statement)
    db.rows("CALL process_pending(10)")
    assert db.value("SELECT ready FROM adopted_sources")


def test_a_large_table_is_adopted_though_all_identifiers_are_quoted(db):
    db.set("quote_all_identifiers", "on")
    make_tree(db)
    make_large(db)
    adopt(db)


def left_over(db, which="created_at > now() - interval '1 day'"):
    return db.value(f"SELECT count(*) FROM markers WHERE NOT processed AND {which}")


@pytest.mark.parametrize("by", TREES)
@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
def test_a_partitioned_table_gives_the_same_paths_as_one_table(db, osrm, by, large):
    fixes = drive(osrm, START, 600)
    insert(db, "own", fixes)
    make_tree(db, by)
    before = shape(db, "markers")
    if large:
        make_large(db)
    fill_markers(db, "car", fixes)
    fill_markers(db, None, fixes[:7])
    adopt(db)
    process_all(db)
    assert db.rows(LINES, ("car",)) == db.rows(LINES, ("own",)) != []
    assert left_over(db) == 0
    assert db.value("SELECT count(*) FROM markers WHERE username = 'car' AND batch_id IS NULL") == 0
    assert db.value("SELECT sum(rejected) FROM worker_runs") == 7
    leaves = db.value("SELECT count(*) FROM pg_partition_tree('markers') WHERE isleaf")
    assert db.value(INDEXES) == 3 * leaves
    assert db.value("SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = 'markers'::regclass")
    # What the statistics say of a large table comes in a while.
    db.wait_until(f"SELECT processed_points + unprocessed_points >= {80_000 if large else 247} FROM worker_status()")

    assert db.value("SELECT release_source('markers')") is True
    assert shape(db, "markers") == before
    assert db.value(INDEXES) == 0
    assert db.value("SELECT count(*) FROM pg_attribute WHERE attname IN ('processed', 'batch_id')"
                    " AND attrelid IN (SELECT relid FROM pg_partition_tree('markers'))") == 0


def test_a_large_tables_partitions_get_their_indexes_one_by_one_and_no_writer_waits(db):
    make_tree(db)
    make_large(db)
    steps = db.rows("SELECT statement, done FROM adopt_source('markers')")
    assert all("CONCURRENTLY" in statement or "attach_indexes" in statement for statement, done in steps if not done)
    assert sum("CONCURRENTLY" in statement for statement, _ in steps) == 3  # of the partition that holds rows
    with closing(db.connect(autocommit=False)) as writer:
        writer.cursor().execute("INSERT INTO markers (username) VALUES ('u')")  # in markers_now, until this ends
        for statement, done in steps:
            if not done and "CONCURRENTLY" not in statement:
                db.rows(statement)


def test_a_release_in_the_middle_of_adoption_leaves_nothing(db):
    make_tree(db)
    make_large(db)
    before = shape(db, "markers_old")
    steps = db.rows("SELECT statement FROM adopt_source('markers') WHERE NOT done")
    db.rows(steps[0][0])
    db.rows(steps[1][0])
    db.rows("SELECT release_source('markers')")
    assert shape(db, "markers_old") == before


@pytest.mark.parametrize("emptied", [False, True], ids=["large", "emptied"])
@pytest.mark.parametrize("done", [0, 3, 4])
def test_adoption_that_a_dropped_extension_has_left_half_done_is_done_to_its_end(db, osrm, done, emptied):
    make_tree(db)
    make_large(db)
    for statement, in db.rows("SELECT statement FROM adopt_source('markers') WHERE NOT done")[:done]:
        db.rows(statement)
    db.rows("DROP EXTENSION osrm_matcher")
    if emptied:
        db.rows("TRUNCATE markers")
    db.rows("CREATE EXTENSION osrm_matcher")
    adopt(db)
    assert db.value(INDEXES) == 6
    assert db.value("SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = 'markers'::regclass")
    fill_markers(db, "car", drive(osrm, START, 300))
    process_all(db)
    assert left_over(db) == 0


def test_hundreds_of_small_partitions_get_their_indexes_one_by_one(db):
    db.rows(f"CREATE TABLE markers ({COLUMNS}) PARTITION BY LIST (username)")
    for number in range(100):
        db.rows(f"CREATE TABLE markers_{number} PARTITION OF markers FOR VALUES IN ('{number}')")
    steps = db.rows("SELECT statement, done FROM adopt_source('markers')")
    assert [done for _, done in steps] == [True] * 5 + [False] * 400  # columns, and indexes without partitions
    for statement, _ in steps[5:]:
        db.rows(statement)
    db.rows("CALL process_pending(10)")
    assert db.value("SELECT ready FROM adopted_sources") and db.value(INDEXES) == 300


def test_points_of_a_partition_made_or_attached_after_adoption_are_in_a_path_at_the_next_run(db, osrm):
    db.rows(f"CREATE TABLE markers ({COLUMNS}) PARTITION BY LIST (username)")
    adopt(db)
    db.rows("CREATE TABLE markers_made PARTITION OF markers FOR VALUES IN ('made')")
    db.rows("""CREATE TABLE markers_attached (LIKE markers INCLUDING DEFAULTS);
               INSERT INTO markers_attached (username) VALUES ('attached');
               ALTER TABLE markers ATTACH PARTITION markers_attached FOR VALUES IN ('attached')""")
    for device in ["made", "attached"]:
        fill_markers(db, device, drive(osrm, START, 300))
    process_all(db)
    assert [row[0] for row in paths(db)] == ["attached", "made"]
    assert left_over(db) == 0 and db.value(INDEXES) == 6


def test_a_partition_dropped_in_the_middle_of_a_run_stops_nothing(db, osrm):
    db.rows(f"CREATE TABLE markers ({COLUMNS}) PARTITION BY LIST (username)")
    for name in ["a", "b", "c"]:
        db.rows(f"CREATE TABLE markers_{name} PARTITION OF markers FOR VALUES IN ('{name}')")
        fill_markers(db, name, drive(osrm, START, 900))
    adopt_only = db.rows("SELECT done FROM adopt_source('markers')")
    assert all(done for done, in adopt_only)
    run = threading.Thread(target=lambda: db_run(db))
    run.start()
    db.wait_until("SELECT count(*) > 0 FROM cached_polylines")
    with closing(db.connect()) as other:
        other.cursor().execute("DROP TABLE markers_b")
    run.join()
    process_all(db)
    assert left_over(db) == 0
    assert {"a", "c"} <= {row[0] for row in paths(db)}
    assert db.value("SELECT count(*) FROM processing_batches WHERE status <> 'completed'") == 0
    assert db.value("SELECT reason IS NULL FROM adopted_sources")


def db_run(db):
    with closing(db.connect()) as session:
        session.cursor().execute("CALL process_pending(60, 1)")


def test_marks_go_to_the_partitions_that_rows_lie_in(db, osrm):
    """A row's address is one in each partition: to look there for all of them would be 12,000 pages."""
    db.rows(f"CREATE TABLE markers ({COLUMNS}) PARTITION BY LIST (username)")
    for name in ["car", *range(60)]:
        db.rows(f"CREATE TABLE markers_{name} PARTITION OF markers FOR VALUES IN ('{name}')")
        db.rows(f"""INSERT INTO markers (username, coords, created_at)
                    SELECT '{name}', '{{24.9,60.1}}', now() - interval '9 days' FROM generate_series(1, 300)""")
    db.rows("DELETE FROM markers_car")
    db.rows("SELECT * FROM adopt_source('markers')")
    fill_markers(db, "car", drive(osrm, START, 60))
    db.rows("SELECT * FROM process_pending_gps()")  # what a session plans and loads
    fill_markers(db, "car", drive(osrm, START + timedelta(minutes=5), 1000))
    assert pages(db, "SELECT * FROM process_pending_gps()") < 6_000
    assert left_over(db) == 0


def locked(db, statements):
    """How many tables and indexes one session has locked once it has done these, for it looked into them or planned to."""
    with closing(db.connect(autocommit=False)) as session, closing(session.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("SELECT count(DISTINCT relation) FROM pg_locks WHERE pid = pg_backend_pid() AND relation >= 16384")
        found = cursor.fetchone()[0]
        session.commit()
    return found


# What goes by a device's time. Two devices of old points, so that the second is asked about by plans that are kept.
STEPS = {
    "run": ["SELECT process_pending_gps()"] * 2,
    "batches": ["SELECT match_batches(ARRAY(SELECT claim_batches(100)))"],
    "range": ["SELECT _windows_with_points(fragments, 'car', now() - interval '2 h', now(), false, 100) "
              "FROM _sources() WHERE relation = 'markers'::regclass"],
    "page": ["SELECT get_device_page('car', 1, true)"] * 8,
    "positions": ["SELECT get_device_fixes('car', now() - interval '90 min', now())"] * 8,
}


def look_ups(db, osrm):
    """What these steps lock, with points of a part of the table alone that are new."""
    for device in ["car", "van"]:
        fill_markers(db, device, drive(osrm, START, 600))
    db.rows("SELECT make_batches(100)")
    assert db.value("SELECT count(*) FROM processing_batches WHERE status = 'pending'") >= 4
    found = {step: locked(db, statements) for step, statements in STEPS.items()}
    assert db.value("SELECT count(DISTINCT device_id) FROM cached_polylines") == 2 and left_over(db) == 0
    return found


def make_days(db, first, last):
    """Partitions of the days so long ago, with a point in each of the older ones; the indexes come with them."""
    db.rows("""SET timezone = 'UTC';
               DO $$ BEGIN FOR n IN %s .. %s LOOP
                   EXECUTE format('CREATE TABLE markers_%%s PARTITION OF markers FOR VALUES FROM (%%L) TO (%%L)',
                                  n + 1, current_date - n, current_date - n + 1);
               END LOOP; END $$;
               INSERT INTO markers (username, coords, created_at, processed)
               SELECT 'old', '{24.9,60.1}', current_date - n, true FROM generate_series(greatest(%s, 3), %s) n""",
            (first, last, first, last))


def test_no_look_up_goes_into_partitions_of_another_time_however_many_they_are(db, osrm):
    db.rows(f"CREATE TABLE markers ({COLUMNS}) PARTITION BY RANGE (created_at)")
    adopt(db)
    make_days(db, -1, 8)
    few = look_ups(db, osrm)
    db.rows("DELETE FROM markers WHERE username <> 'old'; SELECT forget_device('car'), forget_device('van')")
    make_days(db, 9, 398)
    assert look_ups(db, osrm) == few


@pytest.mark.parametrize("kind, at, named", [
    ("timestamp", "{} AT TIME ZONE 'Europe/Helsinki'", "time_zone => 'Europe/Helsinki'"),
    ("bigint", "(extract(epoch FROM {}) * 1000)::bigint", "time_unit => 'ms'"),
    ("double precision", "extract(epoch FROM {})::double precision", "time_unit => 's'"),
])
def test_days_of_local_times_and_of_numbers_are_told_apart_as_well(db, osrm, kind, at, named):
    db.rows(f"CREATE TABLE markers (username text, coords double precision[], created_at {kind}) PARTITION BY RANGE (created_at)")
    db.rows(f"SELECT adopt_source('markers', {named})")

    def locks(first, last):
        for day in range(first, last):
            begin, end = (db.value("SELECT " + at.format("%s"), (START.replace(hour=0) - timedelta(days=ago),)) for ago in (day, day - 1))
            db.rows(f"CREATE TABLE markers_{day + 10} PARTITION OF markers FOR VALUES FROM (%s) TO (%s)", (begin, end))
        for lon, lat, moment in drive(osrm, START, 600):
            db.rows(f"INSERT INTO markers VALUES (%s, %s, {at.format('%s')})", (f"car-{first}", [lon, lat], moment))
        found = locked(db, ["SELECT process_pending_gps()"] * 2 + [f"SELECT get_device_page('car-{first}', 1, true)"])
        assert left_over(db, "true") == 0
        return found

    assert locks(-1, 8) == locks(8, 70)


def test_old_rows_without_a_device_are_set_aside_with_a_backfill_of_their_time(db):
    make_tree(db)
    adopt(db)
    db.rows("INSERT INTO markers (coords, created_at) VALUES ('{24.9,60.1}', now()), ('{24.9,60.1}', now() - interval '3 days')")
    process_all(db)
    assert db.value("SELECT count(*) FROM markers WHERE processed") == 1
    db.rows("SELECT start_backfill(now() - interval '4 days', now() - interval '2 days')")
    process_all(db)
    assert db.value("SELECT count(*) FROM markers WHERE processed") == 2
    assert db.value("SELECT sum(rejected) FROM worker_runs") == 2


def test_a_month_of_points_goes_by_one_drop_and_a_detached_one_stays_as_it_is(db, osrm):
    make_tree(db)
    fill_markers(db, "car", drive(osrm, START, 600))
    adopt(db)
    process_all(db)
    before = paths(db)
    db.rows("ALTER TABLE markers DETACH PARTITION markers_now")
    db.rows("DROP TABLE markers_old")
    process_all(db)
    assert paths(db) == before != []
    assert db.value("SELECT count(*) FROM markers_now WHERE NOT processed") == 0
    db.rows("SELECT release_source('markers')")
    db.rows("SELECT * FROM adopt_source('markers_now')")
    process_all(db)
    assert paths(db) == before


def test_a_table_that_becomes_a_partition_of_an_adopted_one_is_read_once(db, osrm):
    db.rows(f"CREATE TABLE markers ({COLUMNS}) PARTITION BY LIST (username)")
    db.rows("SELECT * FROM adopt_source('markers')")
    db.rows("CREATE TABLE markers_car (LIKE markers INCLUDING DEFAULTS)")
    db.rows("SELECT * FROM adopt_source('markers_car')")
    db.rows("ALTER TABLE markers ATTACH PARTITION markers_car FOR VALUES IN ('car')")
    fixes = drive(osrm, START, 300)
    fill_markers(db, "car", fixes)
    process_all(db)
    assert db.rows("SELECT relation::text FROM adopted_sources") == [("markers",)]
    assert db.value("SELECT sum(source_coordinates_count) FROM cached_polylines") == len(fixes)


def test_partitions_whose_long_names_begin_alike_have_indexes_of_their_own(db):
    make_tree(db)
    db.rows("DROP TABLE markers_old, markers_now")
    for number in range(3):
        name = f"markers_with_a_name_that_is_longer_than_index_{number}"
        db.rows(f"CREATE TABLE {name} PARTITION OF markers FOR VALUES FROM ('20{number}0-01-01') TO ('20{number + 1}0-01-01')")
        db.rows(f"INSERT INTO {name} (username, created_at) SELECT 'u', '20{number}5-01-01' FROM generate_series(1, 40000)")
    adopt(db)
    assert db.value(INDEXES) == 9
