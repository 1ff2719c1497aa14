"""A vehicle stands or drives: of no second does one reader tell that it stood and another that it drove."""

import random
from datetime import timedelta

from drives import drive, insert, process_all, recent_window
from harness.route import moved

BOTH = """
    SELECT s.device_id, s.start_time, s.end_time, p.start_time, p.end_time
      FROM stops s JOIN cached_polylines p USING (device_id)
     WHERE greatest(s.start_time, p.start_time) < least(s.end_time, p.end_time)"""


def test_a_parked_receiver_that_wanders_over_a_slots_edge_stands_or_drives(db, osrm):
    """What a few fixes around the edge make of it is not what all of a slot do."""
    start = recent_window(minutes_ago=420)
    place = drive(osrm, start, seconds=60)[0][:2]
    for number in range(12):
        chance = random.Random(number)
        insert(db, f"parked-{number}", [
            (*moved(place, chance.gauss(0, 25), chance.gauss(0, 25)), start + timedelta(seconds=30 * n + number))
            for n in range(720)])
    process_all(db)
    assert db.value("SELECT count(*) FROM cached_polylines") > 0 and db.value("SELECT count(*) FROM stops") > 0
    assert db.rows(BOTH) == []


def test_a_stop_over_a_window_without_a_usable_fix_is_one_alone_too(db):
    """A parked receiver said (0, 0) for a whole window, and what was before and after that is forgotten."""
    start = recent_window(minutes_ago=60)
    at = [start + timedelta(seconds=30 * n) for n in range(60)]
    silent = [second for second in at if timedelta(minutes=10) <= second - start < timedelta(minutes=15)]
    insert(db, "van", [(0, 0, t) if t in silent else (24.9414, 60.1719, t) for t in at])
    process_all(db)
    counts = dict(db.rows("SELECT start_time, source_coordinates_count FROM stops"))
    assert counts[silent[0]] == 0 and sum(counts.values()) == 50
    ((_, _, lon, lat, count),) = db.rows("SELECT * FROM get_device_stops('van', '-infinity', 'infinity')")
    assert (round(lon, 4), round(lat, 4), count) == (24.9414, 60.1719, 50)
    db.rows("SELECT forget_device('van', to_time => %s), forget_device('van', from_time => %s)",
            (silent[0], start + timedelta(minutes=15)))
    ((begin, _, lon, lat, count),) = db.rows("SELECT * FROM get_device_stops('van', '-infinity', 'infinity')")
    assert (begin, round(lon, 4), round(lat, 4), count) == (silent[0], 24.9414, 60.1719, 0)


def test_a_wrong_place_at_a_slots_edge_draws_no_line(db, osrm):
    """Latitude and longitude are swapped now and then. Few fixes around the edge do not show it; all of a slot do."""
    db.set("osrm_matcher.max_gap", "60s")
    edge = recent_window(minutes_ago=420)
    for seed in range(8):
        fixes = drive(osrm, edge - timedelta(seconds=891), seconds=1800, interval=15.0, seed=seed)
        wrong = {edge + timedelta(seconds=seconds) for seconds in (-51, -21, 39)}
        insert(db, f"van-{seed}", [(lat, lon, at) if at in wrong else (lon, lat, at) for lon, lat, at in fixes])
    process_all(db)
    lengths = db.rows("SELECT device_id, max(length_m) FROM cached_polylines GROUP BY device_id")
    assert len(lengths) == 8 and all(metres < 20_000 for _, metres in lengths), lengths


def test_no_path_is_faster_than_a_vehicle(db, osrm):
    """Two vehicles take turns under one name: matched and raw pieces do just beyond a slot's edge."""
    start = recent_window(minutes_ago=420)
    for seed in (5, 8):
        one, other = (drive(osrm, start, seconds=5400, interval=1.0, noise=10.0, seed=n) for n in (seed, seed + 100))
        insert(db, f"van-{seed}", [(one if n % 30 < 2 else other)[n] for n in range(5400) if n % 15 < 2])
    process_all(db)
    assert db.value("SELECT count(*) FROM cached_polylines") > 50
    assert db.rows("""SELECT * FROM (SELECT device_id, start_time, length_m, extract(epoch FROM end_time - start_time)::float8 AS seconds
                                       FROM cached_polylines) p WHERE length_m > 70 * seconds + 100""") == []
