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
