"""Where the database of the points may not have the extension, another one that follows it may."""

from drives import drive, process_all, recent_window
from harness.database import Database

MARKERS = "CREATE TABLE markers (id serial PRIMARY KEY, username text, coords float8[], created_at timestamptz)"


def test_points_of_a_publisher_become_paths_at_its_subscriber(own_db, osrm, new_cluster):
    with new_cluster("publisher", osrm.url, wal_level="logical") as cluster:
        publisher = Database(cluster, "postgres")
        publisher.rows(MARKERS)
        publisher.rows("CREATE PUBLICATION points FOR TABLE markers")
        own_db.rows(MARKERS)
        own_db.rows("SELECT * FROM adopt_source('markers')")
        own_db.rows(f"CREATE SUBSCRIPTION points CONNECTION 'host={cluster.socket_dir} user=postgres dbname=postgres' "
                    "PUBLICATION points")
        for lon, lat, at in drive(osrm, recent_window(), seconds=240):
            publisher.rows("INSERT INTO markers (username, coords, created_at) VALUES ('bus', ARRAY[%s, %s], %s)",
                           (lon, lat, at))
        count = publisher.value("SELECT count(*) FROM markers")
        own_db.wait_until("SELECT count(*) = %s FROM markers", parameters=(count,))
        process_all(own_db)
        assert own_db.value("SELECT DISTINCT match_status FROM get_device_paths('bus')") == "matched"

        publisher.rows("DELETE FROM markers WHERE id = 1")
        own_db.wait_until("SELECT NOT EXISTS (SELECT FROM markers WHERE id = 1)")
        own_db.rows("DROP SUBSCRIPTION points")
        publisher.disconnect()
