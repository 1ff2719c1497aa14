"""What is raw says why: the map has no road there, or it has roads, of which none fits."""

from datetime import timedelta

from drives import drive, insert, process_all, recent_window
from harness.route import moved


# A street that may be driven from the second place to the first only.
WRONG_WAY = (24.936058, 60.165516), (24.940476, 60.167047)


def reasons(db, device):
    return db.rows("SELECT match_status, reason FROM get_device_paths(%s) ORDER BY start_time", (device,))


def test_a_drive_that_leaves_the_map_is_off_it_from_there_on(db, osrm):
    start = recent_window()
    on_roads = drive(osrm, start, seconds=180)
    *place, left_at = on_roads[-1]
    to_sea = [(*moved(place, 0, -125.0 * n), left_at + timedelta(seconds=5 * n)) for n in range(1, 100)]
    insert(db, "ferry", [*on_roads, *to_sea])
    process_all(db)
    found = reasons(db, "ferry")
    assert found[0] == ("matched", None)
    assert found[-1] == ("raw", "NoSegment")


def test_a_one_way_street_the_wrong_way_is_on_the_map_and_refused(db, osrm):
    (west, south), (east, north) = WRONG_WAY
    start = recent_window()
    insert(db, "ghost", [(west + (east - west) * n / 9, south + (north - south) * n / 9, start + timedelta(seconds=4 * n))
                         for n in range(10)])
    process_all(db)
    assert set(reasons(db, "ghost")) - {("matched", None)} == {("raw", "NoMatch")}


def test_all_readers_say_why(db, osrm):
    start = recent_window()
    insert(db, "ferry", [(24.9, 59.8 + n * 0.001, start + timedelta(seconds=10 * n)) for n in range(20)])
    process_all(db)
    assert db.value("SELECT get_device_page('ferry') -> 'paths' -> 0 ->> 'reason'") == "NoSegment"
    assert db.value("SELECT get_fleet_page(24) -> 'devices' -> 0 -> 'paths' -> 0 ->> 'reason'") == "NoSegment"
    assert db.value("SELECT get_page_changes(%s) -> 'windows' -> 0 -> 'paths' -> 0 ->> 'reason'", (start,)) == "NoSegment"
    assert db.value("SELECT get_device_geojson('ferry') -> 'features' -> 0 -> 'properties' ->> 'reason'") == "NoSegment"
    assert db.rows("SELECT DISTINCT reason FROM get_changes(%s) WHERE encoded_polyline IS NOT NULL", (start,)) == [("NoSegment",)]
