"""A database whose transactions go by one snapshot each, by `default_transaction_isolation`: what waits for others, or
decides by what is not there, sees what they have committed, or says that it cannot."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest
from drives import drive, insert, process_all, recent_window, waiting
from harness.fault_server import FaultServer
from harness.outcome import leftovers

START = recent_window(60)
LATE = """INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
          VALUES ('late', 24.94, 60.17, now() - interval '20 days')"""


@pytest.fixture(params=["repeatable read", "serializable"])
def strict_db(db, request):
    db.set("default_transaction_isolation", request.param)
    return db


def with_old_partitions(db):
    db.rows("""INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at, processed)
               SELECT 'car', 24.94, 60.17, now() - n * interval '1 day', true FROM generate_series(0, 25) n""")
    with closing(db.connect()) as session:
        session.cursor().execute("SET default_transaction_isolation = 'read committed'")
        session.cursor().execute("SELECT partition_points()")


@pytest.mark.parametrize("call", [
    "SELECT partition_points()", "SELECT * FROM forget_device('car')", "SELECT * FROM import_matched_paths('old')"])
def test_what_would_miss_what_others_commit_is_refused_before_anything_is_done(strict_db, call):
    strict_db.rows("CREATE TABLE old (device_id text, start_time timestamptz, end_time timestamptz, encoded_polyline text)")
    with pytest.raises(psycopg2.Error, match="needs a transaction that is READ COMMITTED") as caught:
        strict_db.rows(call)
    assert caught.value.pgcode == "25001" and "BEGIN ISOLATION LEVEL READ COMMITTED" in caught.value.diag.message_hint
    with closing(strict_db.connect(autocommit=False)) as session:
        session.cursor().execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        session.cursor().execute(call)


def test_upkeep_drops_no_partition_with_a_point_that_comes_while_it_waits(strict_db):
    with_old_partitions(strict_db)
    with closing(strict_db.connect(autocommit=False)) as writer, closing(strict_db.connect()) as session, ThreadPoolExecutor(1) as pool:
        writer.cursor().execute(LATE)
        call = pool.submit(session.cursor().execute, "CALL upkeep(points_older_than => '15 days')")
        strict_db.wait_until("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        writer.commit()
        call.result()
    assert strict_db.value("SELECT count(*) FROM gps_coordinates WHERE device_id = 'late'") == 1
    assert strict_db.value("SELECT count(*) FROM gps_coordinates WHERE recorded_at < now() - interval '21 days'") == 0


def test_delete_old_leaves_partitions_and_does_the_rest(strict_db):
    with_old_partitions(strict_db)
    strict_db.rows("""INSERT INTO stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count)
                      VALUES ('car', now() - interval '40 days', now() - interval '40 days', 24.9, 60.1, 2)""")
    with closing(strict_db.connect()) as session, closing(session.cursor()) as cursor:
        cursor.execute("SELECT stops, points FROM delete_old(points_older_than => '15 days')")
        assert cursor.fetchone() == (1, 0)
        (notice,) = session.notices
        assert notice.startswith("WARNING:  could not drop partitions of gps_coordinates: ")
    assert strict_db.value("SELECT count(*) FROM gps_coordinates") == 26


@pytest.mark.parametrize("call, table", [
    ("CALL process_pending(50, 1)", "processing_batches"), ("CALL upkeep()", "stops")])
def test_each_transaction_of_a_procedure_sees_what_others_commit(strict_db, osrm, call, table):
    strict_db.rows(f"""CREATE TABLE seen (level text);
                       CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                           INSERT INTO public.seen VALUES (current_setting('transaction_isolation'));
                           RETURN coalesce(NEW, OLD);
                       END $$;
                       CREATE TRIGGER note BEFORE INSERT OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION note()""")
    insert(strict_db, "car", drive(osrm, START, 1200))
    # A device's rows of a day that is over become one, and those beyond the age go.
    strict_db.rows("""INSERT INTO processing_batches (device_id, start_time, end_time, status)
                      SELECT 'bus', t, t + interval '5 min', 'completed' FROM date_bin('5 min', now() - interval '5 days', 'epoch') t;
                      INSERT INTO stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count)
                      SELECT 'bus', t, t + interval '9 min', 24.9, 60.1, 2
                        FROM unnest('{5,40}'::int[]) AS days CROSS JOIN unnest('{0,10}'::int[]) AS minutes
                       CROSS JOIN date_bin('1 day', now() - days * interval '1 day', 'epoch') AS d (midnight)
                       CROSS JOIN LATERAL (VALUES (d.midnight + minutes * interval '1 min')) AS v (t)""")
    strict_db.rows("TRUNCATE seen")
    strict_db.rows(call)
    levels = strict_db.rows("SELECT level FROM seen")
    assert len(levels) > 1 and set(levels) == {("read committed",)}


@pytest.mark.parametrize("call, instead", [("process_pending()", "process_pending_gps()"), ("upkeep()", "delete_old()")])
@pytest.mark.parametrize("where", [
    "BEGIN; CALL public.{}", "SELECT 1; CALL public.{}", "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN CALL public.{}; END'; SELECT f()",
    "DO 'BEGIN CALL public.{}; EXCEPTION WHEN division_by_zero THEN NULL; END'"])
@pytest.mark.parametrize("level", ["read committed", "serializable"])
def test_a_call_inside_a_transaction_says_what_to_do_before_anything_is_done(db, osrm, call, instead, where, level):
    db.set("default_transaction_isolation", level)
    insert(db, "car", drive(osrm, START, 300))
    with FaultServer(upstream=osrm) as server:
        db.set("osrm_matcher.osrm_url", server.url)
        with closing(db.connect()) as session, pytest.raises(psycopg2.errors.InvalidTransactionTermination) as caught:
            session.cursor().execute(where.format(call))
        assert not server.requests
    assert call in caught.value.diag.message_primary
    assert "autocommit" in caught.value.diag.message_hint and instead in caught.value.diag.message_hint
    assert waiting(db) == 60
    db.set("osrm_matcher.osrm_url", osrm.url)
    db.rows("DO 'BEGIN CALL public.process_pending(); END'")
    assert waiting(db) == 0
    db.rows("DO 'BEGIN CALL public.upkeep(); END'")


def test_workers_and_a_writer_are_in_nobodys_way(strict_db, osrm):
    """A scheduled call is not made again where it ends by an error."""
    fixes = {f"car-{n}": drive(osrm, START, 900, seed=n) for n in range(6)}
    with ThreadPoolExecutor(3) as pool, closing(strict_db.connect()) as one, closing(strict_db.connect()) as other:
        writer = pool.submit(lambda: [insert(strict_db, device, fixes[device][n::9]) for n in range(9) for device in fixes])
        for worker in [pool.submit(lambda s: [s.cursor().execute("CALL process_pending(50, 3)") for _ in range(8)], session)
                       for session in (one, other)]:
            worker.result()
        writer.result()
    process_all(strict_db)
    assert leftovers(strict_db) == {}
