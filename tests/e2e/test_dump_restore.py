"""pg_dump and restore into a fresh cluster: every row is there, and work goes on."""

import tempfile
from pathlib import Path

import pytest

from drives import drive, insert, paths, process_all, recent_window, stops, waiting
from harness.database import Database

TABLES = ("gps_coordinates", "processing_batches", "cached_polylines", "stops", "worker_runs", "osrm_groups",
          "osrm_group_devices")


def contents(db):
    return {table: db.rows(f"SELECT * FROM {table} ORDER BY 1") for table in TABLES}


@pytest.fixture
def second_db(osrm, new_cluster):
    """An empty database in another cluster."""
    with new_cluster("restored", osrm.url) as cluster:
        database = Database(cluster, "postgres")
        yield database
        database.disconnect()


@pytest.mark.parametrize("schema", ["public", "fleet"])
def test_every_row_comes_back_and_processing_goes_on(empty_db, second_db, osrm, schema):
    empty_db.rows(f"CREATE SCHEMA IF NOT EXISTS {schema}; CREATE EXTENSION osrm_matcher SCHEMA {schema}")
    for db in (empty_db, second_db):
        db.set("search_path", schema)
    fixes = drive(osrm, recent_window(), 600)
    empty_db.rows("INSERT INTO osrm_groups (name, osrm_url, source_column, source_value) VALUES ('cars', %s, 'none', 'x')",
                  (osrm.url,))
    empty_db.rows("INSERT INTO osrm_group_devices VALUES ('car', 'cars')")
    insert(empty_db, "car", fixes[:40])
    process_all(empty_db)
    assert empty_db.rows("SELECT DISTINCT osrm_group FROM processing_batches") == [("cars",)]
    insert(empty_db, "car", fixes[40:80])  # still waiting when the dump is made
    before = contents(empty_db)

    dump = empty_db.cluster.run("pg_dump", "-d", empty_db.name).stdout
    second_db.psql("-q", input=dump)

    assert contents(second_db) == before
    assert waiting(second_db) == 40
    insert(second_db, "car", fixes[80:])  # a sequence that began anew would collide
    insert(empty_db, "car", fixes[80:])
    process_all(second_db)
    process_all(empty_db)
    assert paths(second_db) == paths(empty_db)
    assert stops(second_db) == stops(empty_db)


def test_the_list_of_groups_comes_back_before_the_groups_as_well_as_after_them(db, fresh_database):
    """A restore by several jobs copies tables in any order, each in a transaction of its own."""
    db.rows("INSERT INTO osrm_groups (name, osrm_url) VALUES ('trucks', 'http://10.0.0.1')")
    db.rows("INSERT INTO osrm_group_devices VALUES ('bus', 'trucks')")
    listed = contents(db)
    with fresh_database("template1") as restored, tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        dump, order = Path(folder, "dump"), Path(folder, "order")
        db.cluster.run("pg_dump", "-Fc", "-f", dump, "-d", db.name)
        entries = db.cluster.run("pg_restore", "-l", dump).stdout.splitlines()
        data = [next(entry for entry in entries if f"TABLE DATA public {table} " in entry)
                for table in ("osrm_group_devices", "osrm_groups")]
        order.write_text("\n".join([*(entry for entry in entries if entry not in data), *data]))
        restore = db.cluster.run("pg_restore", "-L", order, "-d", restored.name, dump, check=False)
        assert "ERROR" not in restore.stderr
        assert contents(restored) == listed


def test_an_adopted_table_that_was_dropped_takes_no_other_with_it(empty_db, second_db, osrm):
    empty_db.rows("CREATE EXTENSION osrm_matcher")
    for name in ("markers", "last_month"):
        empty_db.rows(f"CREATE TABLE {name} (username text, coords float8[], created_at timestamptz)")
        empty_db.rows("SELECT * FROM adopt_source(%s)", (name,))
    lon, lat, at = drive(osrm, recent_window(), 600)[0]
    empty_db.rows("INSERT INTO markers VALUES ('car', %s, %s)", ([lon, lat], at))
    empty_db.rows("DROP TABLE last_month")
    # What a dump says of the dropped table's number must not meet a table of that number.
    dump = empty_db.cluster.run("pg_dump", "-d", empty_db.name).stdout
    second_db.psql("-q", input=dump)
    assert second_db.rows("SELECT relation::text FROM adopted_sources") == [("markers",)]
    process_all(second_db)
    assert second_db.value("SELECT bool_and(processed) FROM markers")
    for db in (empty_db, second_db):
        assert db.rows("SELECT message FROM worker_alerts() WHERE problem = 'source_set_aside'") == []
    process_all(empty_db)
    assert empty_db.rows("SELECT known_as FROM adopted_sources ORDER BY 1") == [("public.last_month",), ("public.markers",)]


def test_the_schedule_goes_with_the_database_where_pg_cron_is(cron_db, second_db):
    jobs = "SELECT jobname, schedule, command, database, active FROM cron.job ORDER BY jobname"
    cron_db.rows("SELECT schedule_processing(), schedule_upkeep()")
    second_db.psql("-q", input=cron_db.cluster.run("pg_dump", "-d", cron_db.name).stdout)
    restored = second_db.rows(jobs)
    assert restored == cron_db.rows(jobs)
    second_db.rows("SELECT schedule_processing(), schedule_upkeep()")  # once more, as docs/upgrading.md has it
    assert second_db.rows(jobs) == restored
