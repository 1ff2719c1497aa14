"""A database that was updated from a released version is what a fresh one is."""

import gzip
import re

import pytest
from catalog import catalog, differences
from drives import drive, insert, process_all, recent_window, waiting
from harness import env

RELEASED = sorted((env.ROOT / "tests/upgrade").glob("osrm_matcher--*.sql.gz"))


def version_of(file):
    return re.fullmatch(r"osrm_matcher--(.+)\.sql\.gz", file.name)[1]


@pytest.fixture(params=RELEASED, ids=map(version_of, RELEASED))
def old_db(request, empty_db):
    """A database with the extension as a released version made it."""
    version = version_of(request.param)
    script = env.PG_SHARE / f"extension/osrm_matcher--{version}.sql"
    if not script.exists():
        script.write_bytes(gzip.decompress(request.param.read_bytes()))
    empty_db.rows(f"CREATE EXTENSION osrm_matcher VERSION '{version}'")
    return empty_db


def test_an_update_leaves_what_a_fresh_install_does(old_db, db):
    old_db.rows("ALTER EXTENSION osrm_matcher UPDATE")
    assert differences(catalog(old_db), catalog(db)) == []


def test_points_that_wait_and_adopted_tables_go_through_an_update(old_db, osrm):
    old_db.rows("CREATE TABLE markers (id serial PRIMARY KEY, username text, coords float8[], created_at timestamptz)")
    old_db.rows("SELECT * FROM adopt_source('markers')")
    for lon, lat, at in drive(osrm, recent_window(), seconds=120):
        old_db.rows("INSERT INTO markers (username, coords, created_at) VALUES ('bus', ARRAY[%s, %s], %s)", (lon, lat, at))
    insert(old_db, "car", drive(osrm, recent_window(), seconds=240))
    old_db.rows("ALTER EXTENSION osrm_matcher UPDATE")
    process_all(old_db)
    assert waiting(old_db) == 0
    assert old_db.rows("SELECT DISTINCT device_id FROM cached_polylines ORDER BY device_id") == [("bus",), ("car",)]


def test_there_is_no_way_down(db):
    with pytest.raises(Exception, match="no update path"):
        db.rows("ALTER EXTENSION osrm_matcher UPDATE TO '0.0.1'")


@pytest.mark.parametrize("change", [
    "COMMENT ON FUNCTION osrm_health IS 'another'",
    "ALTER FUNCTION process_pending_gps PARALLEL SAFE",
    "GRANT SELECT ON cached_polylines TO PUBLIC",
    "ALTER TABLE gps_coordinates ALTER COLUMN processed SET DEFAULT true",
    "ALTER TABLE gps_coordinates ADD COLUMN more integer",
    "COMMENT ON COLUMN stops.device_id IS 'another'",
    "ALTER TABLE cached_polylines SET (fillfactor = 50)",
    "CREATE INDEX another ON stops (device_id)",
    "ALTER TABLE stops ADD CHECK (device_id <> 'another')",
    "UPDATE pg_extension SET extcondition[1] = 'WHERE false' WHERE extname = 'osrm_matcher'",
])
def test_no_difference_escapes_the_comparison(db, empty_db, change):
    empty_db.rows("CREATE EXTENSION osrm_matcher")
    fresh = catalog(empty_db)
    assert differences(catalog(db), fresh) == []
    db.rows(change)
    assert differences(catalog(db), fresh) != []
