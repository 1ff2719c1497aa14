"""Points in the shards of a distributed table, on one of several servers. The catalogs of Citus are made by hand."""

from datetime import timedelta

import psycopg2
import pytest
from drives import drive, insert, paths, process_all, recent_window
from grouped import make_group
from shards import prepared, shards  # noqa: F401 (fixtures)
from test_search_cost import pages

START = recent_window(60)
LINES = "SELECT start_time, end_time, encoded_polyline FROM get_device_paths(%s)"
LEFT = "SELECT count(*) FROM cached_polylines WHERE device_id = %s"


def adopt(db):
    return dict(db.rows("SELECT shard::text, what FROM adopt_shards('points')"))


def refusal(db, statement):
    with pytest.raises(psycopg2.Error) as caught:
        db.rows(statement)
    return caught.value.pgcode, caught.value.diag.message_primary, caught.value.diag.message_hint


@pytest.mark.parametrize("count", [1, 16, 192])
def test_shards_give_the_same_paths_as_one_table_however_many_they_are(db, osrm, prepared, count):
    fixes = drive(osrm, START, 600)
    insert(db, "own", fixes)
    prepared.distribute(count)
    assert set(adopt(db).values()) == {"adopted"}
    cars = [f"car-{number}" for number in range(5)]
    for car in cars:
        prepared.fill(car, fixes)
    process_all(db)
    for car in cars:
        assert db.rows(LINES, (car,)) == db.rows(LINES, ("own",)) != []
    status = db.row("SELECT unprocessed_points, processed_points FROM worker_status()")
    assert status == {"unprocessed_points": 0, "processed_points": 6 * len(fixes)}


def test_a_page_and_a_run_cost_nothing_for_shards_that_cannot_hold_the_device(db, osrm, prepared):
    many = 64
    prepared.distribute(many)
    adopt(db)
    page, costs = "SELECT get_device_page('car', 24, true)", {}
    for number, holds in enumerate(["warm", "said", "warm", "unsaid"]):
        if number == 2:
            db.rows("UPDATE adopted_sources SET holds = NULL WHERE shard_of IS NOT NULL")
        prepared.fill("car", drive(osrm, START + number * timedelta(minutes=5), 60))
        run = pages(db, "SELECT * FROM process_pending_gps()")
        db.rows(page)
        costs[holds] = run, pages(db, page)
    # Each that is asked in vain is a look into an index at least.
    assert all(unsaid > said + many - 1 for said, unsaid in zip(costs["said"], costs["unsaid"]))


def test_what_group_a_device_is_in_is_asked_of_no_shard_that_cannot_hold_it(db, prepared):
    many = 64
    db.rows("ALTER TABLE points ADD COLUMN kind text")
    prepared.distribute(many)
    adopt(db)
    make_group(db, "vans", "http://127.0.0.1:9", source_column="kind", source_value="van")
    db.rows(f"INSERT INTO {prepared.name(prepared.of('car'))} (username, created_at, kind) VALUES ('car', now(), 'van')")
    look, costs = "SELECT osrm_group FROM get_osrm_groups(ARRAY['car'])", []
    for holds in ["holds", "NULL"]:
        db.rows(f"UPDATE adopted_sources SET holds = {holds} WHERE shard_of IS NOT NULL")
        assert db.value(look) == "vans"
        costs.append(pages(db, look))
    assert costs[1] > costs[0] + many - 1


def test_adoption_of_shards_is_repeated_after_a_rebalance(db, osrm, prepared):
    prepared.distribute(4)
    prepared.depart(3)
    assert len(adopt(db)) == 3
    prepared.arrive(3)
    moved = prepared.of("car")
    prepared.depart(moved)
    said = adopt(db)
    assert sorted(said.values()) == ["adopted", "forgotten", "kept", "kept"] if moved != 3 else ["kept"] * 3
    assert set(adopt(db).values()) == {"kept"}
    assert db.value("SELECT count(*) FROM adopted_sources WHERE ready") == 3


def test_a_distributed_table_and_a_shard_are_refused_as_they_are(db, prepared):
    prepared.distribute(2)
    state, problem, hint = refusal(db, "SELECT * FROM adopt_source('points')")
    assert state == "42809" and "is distributed" in problem and "adopt_shards('public.points'" in hint
    adopt(db)
    assert "is distributed" in refusal(db, "SELECT * FROM adopt_source('points')")[1]
    db.rows("SELECT release_source('points')")
    state, problem, hint = refusal(db, f"SELECT * FROM adopt_source('{prepared.name(0)}')")
    assert state == "42809" and "is a shard" in problem and "adopt_shards" in hint


def test_what_a_distributed_table_lacks_is_said_as_statements_for_the_coordinator(db, shards):
    shards.distribute(2)
    state, problem, hint = refusal(db, "SELECT * FROM adopt_shards('points')")
    assert state == "55000" and "lacks columns or indexes" in problem
    for statement in hint.removeprefix("On the coordinator, once: ").split("; "):
        db.rows(statement)
    for number in range(2):
        # A distributed statement changes the shards, too.
        db.rows(f"DROP TABLE {shards.name(number)}")
        shards.make(number)
    assert set(adopt(db).values()) == {"adopted"}
    assert db.value("SELECT bool_and(ready) FROM adopted_sources WHERE shard_of IS NOT NULL")


def test_a_table_must_be_distributed_by_the_device(db, prepared):
    assert refusal(db, "SELECT * FROM adopt_shards('points')")[1].endswith("is not distributed")
    prepared.distribute(1)
    db.rows("UPDATE pg_dist_partition SET partkey = 'created_at'")
    assert 'is not distributed by column "username"' in refusal(db, "SELECT * FROM adopt_shards('points')")[1]


def test_shards_keep_columns_and_indexes_when_they_are_released(db, prepared):
    prepared.distribute(2)
    adopt(db)
    indexes = "SELECT count(*) FROM pg_indexes WHERE tablename LIKE 'points%%'"
    before = db.value(indexes)
    assert db.value("SELECT release_source('points')") is True
    assert db.value("SELECT count(*) FROM adopted_sources") == 0
    assert db.value(indexes) == before
    assert db.value(f"SELECT count(processed) FROM {prepared.name(0)}") == 0


def test_points_that_were_matched_on_another_server_are_matched_here_once_they_have_moved(db, osrm, prepared):
    prepared.distribute(4)
    adopt(db)
    fixes = drive(osrm, START, 600)
    for car in ["car-1", "car-2"]:
        prepared.fill(car, fixes)
    process_all(db)
    before = paths(db)
    assert db.value("SELECT rematch_arrived()") is None
    db.rows("SELECT forget_device('car-1')")  # as if its points had come from where it was matched
    job = db.value("SELECT rematch_arrived()")
    db.rows("CALL process_pending()")
    assert db.rows("SELECT kind, status, devices FROM get_jobs() WHERE job_id = %s", (job,)) == [("rematch", "done", 1)]
    assert paths(db) == before
    assert db.value("SELECT rematch_arrived()") is None


def test_devices_whose_points_have_moved_away_are_forgotten(db, osrm, prepared):
    prepared.distribute(4)
    adopt(db)
    cars = [f"car-{number}" for number in range(4)]
    for car in cars:
        prepared.fill(car, drive(osrm, START, 300))
    process_all(db)
    away = prepared.of("car-0")
    gone = [car for car in cars if prepared.of(car) == away]
    stored = {car: db.value(LEFT, (car,)) for car in cars}
    prepared.depart(away)
    assert db.row("SELECT devices, paths FROM forget_departed()") == {
        "devices": len(gone), "paths": sum(stored[car] for car in gone)}
    assert {car: db.value(LEFT, (car,)) for car in cars} == {car: 0 if car in gone else stored[car] for car in cars}
    assert db.value("SELECT devices FROM forget_departed()") == 0


def test_nobody_is_forgotten_where_it_is_not_known_who_is_here(db, osrm):
    insert(db, "car", drive(osrm, START, 300))
    process_all(db)
    assert refusal(db, "SELECT * FROM forget_departed()")[0] == "55000"
    db.rows("CREATE TABLE markers (username text, coords float8[], created_at timestamptz)")
    db.rows("SELECT * FROM adopt_source('markers')")
    assert refusal(db, "SELECT * FROM forget_departed()")[0] == "55000"
    assert db.value(LEFT, ("car",)) > 0


def test_a_page_says_that_a_device_lies_elsewhere(db, osrm, prepared):
    empty = {"device": "car", "paths": [], "cached": True, "processing_delay_ms": 0}
    assert db.value("SELECT get_device_page('car')") == empty
    assert db.value("SELECT holds_device('car')") is None
    prepared.distribute(4)
    adopt(db)
    assert db.value("SELECT holds_device('car')") is True
    assert db.value("SELECT get_device_page('car')") == empty
    prepared.depart(prepared.of("car"))
    adopt(db)
    assert db.value("SELECT holds_device('car')") is False
    assert db.value("SELECT get_device_page('car')") == {**empty, "cached": False, "here": False}
    insert(db, "car", drive(osrm, START, 300))
    process_all(db)
    assert db.value("SELECT holds_device('car')") is True
    assert db.value("SELECT get_device_page('car')")["paths"] != []


def make_halves(db):
    """Two tables, each with the devices of one parity."""
    for parity in 0, 1:
        db.rows(f"CREATE TABLE half_{parity} (username text, coords float8[], created_at timestamptz)")
        db.rows(f"""SELECT * FROM adopt_source('half_{parity}', device_key => 'device_id::integer % 2',
                                               holds => '[{parity},{parity}]')""")


def test_a_table_that_fails_puts_off_no_device_that_another_one_holds(db, osrm):
    make_halves(db)
    fixes = drive(osrm, START, 600)
    for lon, lat, at in fixes:
        db.rows("INSERT INTO half_0 VALUES ('4', %s, %s)", ([lon, lat], at))
    db.rows("ALTER TABLE half_1 RENAME COLUMN coords TO place")
    db.rows("INSERT INTO half_1 VALUES ('5', '{24.9,60.1}', now())")
    db.rows("CALL process_pending()")
    assert db.value("SELECT count(*) FROM adopted_sources WHERE reason IS NOT NULL") == 1
    db.rows("DELETE FROM half_0")
    db.rows("""SELECT _make_due(array_agg(device_id), array_agg(start_time), array_agg(end_time))
                 FROM processing_batches WHERE device_id = '4'""")
    db.rows("CALL process_pending()")
    assert db.value("SELECT count(*) FROM processing_batches WHERE device_id = '4' AND status <> 'completed'") == 0


def test_a_key_that_fails_for_a_device_says_nothing_of_it(db, osrm):
    make_halves(db)
    for lon, lat, at in drive(osrm, START, 300):
        db.rows("INSERT INTO half_1 VALUES ('no number', %s, %s)", ([lon, lat], at))
    process_all(db)
    assert db.value(LEFT, ("no number",)) > 0
    assert db.value("SELECT holds_device('no number')") is None
    assert db.value("SELECT json_array_length(get_device_page('no number') -> 'paths')") > 0


@pytest.mark.parametrize("key, holds, state", [
    ("'device_id'", "NULL", "22023"), ("NULL", "'[1,2]'", "22023"), ("'1'", "'empty'", "22023"),
    ("'no_such(device_id)'", "'[1,2]'", "42883"), ("'device'", "'[1,2]'", "42703")])
def test_a_key_that_is_none_is_refused(db, key, holds, state):
    db.rows("CREATE TABLE markers (username text, coords float8[], created_at timestamptz)")
    assert refusal(db, f"SELECT * FROM adopt_source('markers', device_key => {key}, holds => {holds})")[0] == state


def test_a_table_that_is_gone_can_be_released(db):
    db.rows("CREATE TABLE markers (username text, coords float8[], created_at timestamptz)")
    db.rows("SELECT * FROM adopt_source('markers')")
    gone = db.value("SELECT 'markers'::regclass::oid")
    db.rows("DROP TABLE markers")
    assert db.value("SELECT release_source(%s)", (gone,)) is True
    assert db.value("SELECT release_source(%s)", (gone,)) is False
    assert db.value("SELECT count(*) FROM adopted_sources") == 0
