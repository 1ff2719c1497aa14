"""A row's place is its table and its address there: what is done to one row is never done to one of the same address
in another table of the tree."""

from drives import drive, process_all, recent_window
from test_adoption import fill_markers, make_markers


def test_a_row_without_a_device_costs_no_row_of_another_table_its_path(db, osrm):
    make_markers(db)
    db.rows("SELECT * FROM adopt_source('markers')")
    db.rows("CREATE TABLE more_markers () INHERITS (markers)")
    db.rows("INSERT INTO more_markers (username, coords, created_at) SELECT NULL, '{24.9,60.1}', now() FROM generate_series(1, 100)")
    fixes = drive(osrm, recent_window(), 300)
    fill_markers(db, "car", fixes)
    process_all(db)
    assert db.value("SELECT count(*) FROM markers WHERE batch_id IS NULL AND username = 'car'") == 0
    assert db.value("SELECT sum(source_coordinates_count) FROM cached_polylines") == len(fixes)
    assert db.value("SELECT count(*) FROM more_markers WHERE processed") == 100


def test_what_is_deleted_as_old_is_old_in_each_table(db):
    db.rows("CREATE TABLE more () INHERITS (gps_coordinates)")
    fill = """INSERT INTO {} (id, device_id, longitude, latitude, recorded_at, processed)
              SELECT n, 'car', 24.9, 60.1, now() - interval '{}', true FROM generate_series(1, 9) n"""
    db.rows(fill.format("gps_coordinates", "90 days"))
    db.rows(fill.format("more", "1 day"))
    assert db.value("SELECT points FROM delete_old(points_older_than => '60 days')") == 9
    assert db.value("SELECT count(*) FROM ONLY gps_coordinates") == 0
    assert db.value("SELECT count(*) FROM ONLY more") == 9
