"""Trackers that sleep while their vehicle is parked, and wake now and then to say where they are."""

from datetime import timedelta

from drives import drive, insert, process_all, recent_window, stops, waiting

STOPS = "SELECT start_time, end_time, source_coordinates_count FROM get_device_stops(%s, '-infinity', 'infinity')"


def awake(place, start, minutes, fixes=1):
    """So many fixes, two seconds apart, at each of these minutes."""
    return [(*place, start + timedelta(minutes=minute, seconds=2 * n)) for minute in minutes for n in range(fixes)]


def test_a_night_is_one_stop(db, osrm):
    start = recent_window(600)
    way = drive(osrm, start, seconds=300)
    place = way[-1][:2]
    for device, fixes in (("once", 1), ("thrice", 3)):
        parked = awake(place, start, [m / 6 for m in range(31, 60)])
        woken = awake(place, start, range(20, 480, 60), fixes)
        insert(db, device, [*way, *parked, *woken])
    db.rows("SELECT start_backfill(now() - interval '1 day', now())")
    process_all(db)
    for device, fixes in (("once", 1), ("thrice", 3)):
        ((begin, end, count),) = db.rows(STOPS, (device,))
        assert abs(begin - start - timedelta(minutes=5)) <= timedelta(seconds=30)
        assert end == start + timedelta(minutes=440, seconds=2 * (fixes - 1))
        assert count >= 28 + 8 * fixes
        assert db.row("SELECT * FROM get_device_positions(%s)", ([device],))["time"] == end


def test_a_device_that_is_seldom_heard_of_is_seen_and_has_not_stood(db, osrm):
    start = recent_window(180)
    way = drive(osrm, start, seconds=7200, interval=600)
    insert(db, "far", way)
    process_all(db)
    assert [(begin, end, fixes) for _, begin, end, _, _, fixes in stops(db)] == [(at, at, 1) for _, _, at in way]
    assert db.rows(STOPS, ("far",)) == []
    last = db.row("SELECT * FROM get_device_positions('{far}')")
    assert (last["time"], last["longitude"]) == (way[-1][2], round(way[-1][0], 5))


def test_a_device_that_is_heard_of_is_seen_at_once_and_its_line_begins_there(db, osrm):
    now = db.value("SELECT date_trunc('second', now())")
    way = drive(osrm, now - timedelta(seconds=60), seconds=60, interval=2, noise=0)
    insert(db, "new", way[:1])
    db.rows("CALL process_pending(60)")
    assert db.row("SELECT * FROM get_device_positions('{new}')")["time"] == way[0][2]
    insert(db, "new", way[1:])
    db.rows("CALL process_pending(60)")
    assert waiting(db) == 0
    assert db.rows(STOPS, ("new",)) == []
    db.rows("UPDATE processing_batches SET settles_at = now() WHERE settles_at IS NOT NULL")
    db.rows("CALL process_pending(60)")
    assert stops(db) == []
    assert db.value("SELECT min(start_time) FROM cached_polylines WHERE device_id = 'new'") == way[0][2]
