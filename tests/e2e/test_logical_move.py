"""A database moves to another by logical replication, as docs/upgrading.md says it."""

import re

import pytest

from drives import drive, insert, paths, process_all, recent_window
from harness import env
from harness.database import Database
from test_adoption import fill_markers, make_markers

START = recent_window(60)
PAGE = (env.ROOT / "docs/upgrading.md").read_text()
BEFORE, AFTER = re.findall(r"```sql\n(.*?)```", PAGE[PAGE.index("## PostgreSQL, by logical replication"):], re.S)


@pytest.fixture
def two_databases(osrm, new_cluster):
    """One that has all, and an empty one."""
    with new_cluster("move", osrm.url, wal_level="logical", max_worker_processes=20) as cluster:
        cluster.create_database("old")
        cluster.create_database("fleet")
        old, new = Database(cluster, "old"), Database(cluster, "fleet")
        old.rows("CREATE EXTENSION osrm_matcher")
        yield old, new
        old.disconnect()
        new.disconnect()


def test_all_is_there_and_processing_goes_on(two_databases, osrm):
    old, new = two_databases
    make_markers(old)
    old.rows("SELECT * FROM adopt_source('markers')")
    insert(old, "bus", drive(osrm, START, 900))
    fill_markers(old, "car", drive(osrm, START, 900, seed=2))
    process_all(old)
    old.rows("SELECT start_rematch(now() - interval '2 h', now())")
    process_all(old)
    old.rows("CREATE PUBLICATION move FOR ALL TABLES")
    old.rows("SELECT pg_create_logical_replication_slot('move', 'pgoutput')")

    new.psql("-q", input=old.cluster.run("pg_dump", "--schema-only", "-d", "old").stdout)
    new.psql("-q", input=BEFORE)
    # Within one cluster, to make the slot would wait for the subscription that makes it.
    new.rows(f"""CREATE SUBSCRIPTION move CONNECTION 'host={old.cluster.socket_dir} dbname=old user=postgres'
                        PUBLICATION move WITH (create_slot = false, slot_name = 'move')""")
    new.wait_until("SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel")
    fill_markers(old, "late", drive(osrm, START, 300, seed=3))
    process_all(old)
    new.wait_until("SELECT count(*) = %s FROM cached_polylines", parameters=(len(paths(old)),))
    new.wait_until("SELECT count(*) = 0 FROM markers WHERE NOT processed")
    new.rows("DROP SUBSCRIPTION move")
    new.psql("-q", input=AFTER)
    new.disconnect()
    assert paths(new) == paths(old)
    assert new.value("SELECT relation::text FROM adopted_sources") == "markers"

    new.rows("SELECT setval('markers_id_seq', (SELECT max(id) + 1 FROM markers))")
    for db in (old, new):
        insert(db, "tram", drive(osrm, START, 900, seed=4))
        fill_markers(db, "van", drive(osrm, START, 900, seed=5))
        db.rows("SELECT start_rematch(now() - interval '2 h', now())")
        process_all(db)
    assert paths(new) == paths(old)
    assert new.value("SELECT count(*) FROM get_device_paths('van')") > 0
    assert new.rows("SELECT problem FROM worker_alerts() WHERE problem NOT LIKE 'schedule%'") == []
