"""Rows of stops, one a window as they are written, are one a stop and day once upkeep has been there."""

from datetime import timedelta

import pytest
from drives import drive, insert, process_all, stops

ALL = "SELECT start_time, end_time, round(longitude::numeric, 7), source_coordinates_count FROM get_device_stops(%s, '-infinity', 'infinity')"
FIVE = timedelta(minutes=5)


@pytest.fixture
def parked(db, osrm):
    """A drive, ten hours of parking two days ago that begin before midnight, and a drive again."""
    midnight = db.value("SELECT date_trunc('day', now() - interval '2 days', 'UTC')")
    start = midnight - timedelta(hours=2)
    there = drive(osrm, start - timedelta(minutes=5), seconds=300, noise=0)
    place = there[-1][:2]
    stands = [(*place, start + timedelta(minutes=minute)) for minute in range(601)]
    back = [(lon, lat, start + timedelta(minutes=600, seconds=5 * (n + 1))) for n, (lon, lat, _) in enumerate(reversed(there))]
    insert(db, "van", [*there, *stands, *back])
    db.rows("SELECT start_backfill(%s, %s)", (start - timedelta(days=1), start + timedelta(days=1)))
    process_all(db)
    return start, midnight


def shape(db):
    """Where each row begins, and how many windows it is of."""
    return [(begin, (end - begin) / FIVE) for _, begin, end, *_ in stops(db)]


def test_a_night_takes_two_rows_and_reads_as_before(db, parked):
    start, midnight = parked
    before = db.rows(ALL, ("van",))
    assert len(before) == 1 and len(stops(db)) >= 120
    db.rows("CALL upkeep()")
    (_, evening), (second, _) = shape(db)
    assert (second, round(evening)) == (midnight, 24)
    assert db.rows(ALL, ("van",)) == before
    # Nothing is left to do, and rows of today stay as they are.
    rows = db.rows("SELECT ctid, * FROM stops ORDER BY id")
    today = db.value("SELECT date_trunc('day', now(), 'UTC')")
    for n in range(2):
        db.rows("INSERT INTO stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count)"
                " VALUES ('car', %s, %s, 24.9, 60.2, 5)", (today + n * FIVE, today + (n + 1) * FIVE))
    db.rows("CALL upkeep()")
    assert db.rows("SELECT ctid, * FROM stops WHERE device_id = 'van' ORDER BY id") == rows
    assert db.value("SELECT count(*) FROM stops WHERE device_id = 'car'") == 2


@pytest.mark.parametrize("change", ["re-match", "late", "forget", "longer windows"])
def test_what_is_matched_anew_or_forgotten_is_cut_out_of_it(db, osrm, parked, change):
    start, midnight = parked
    db.rows("CALL upkeep()")
    before = db.rows(ALL, ("van",))
    inside = midnight + timedelta(hours=3)
    if change == "re-match":
        db.rows("SELECT start_rematch(%s, %s)", (inside, inside + timedelta(minutes=10)))
        process_all(db)
        assert db.rows(ALL, ("van",)) == before
    elif change == "longer windows":
        db.set("osrm_matcher.window", "1h")
        db.rows("SELECT start_rematch(%s, %s)", (inside, inside + timedelta(minutes=10)))
        process_all(db)
        (after,) = db.rows(ALL, ("van",))
        # What is left of a row has its share of the points.
        assert after[:3] == before[0][:3] and abs(after[3] - before[0][3]) <= 2
    elif change == "late":
        # It drove to and fro meanwhile.
        away = drive(osrm, inside, seconds=240, noise=0, seed=3)
        db.rows("DELETE FROM gps_coordinates WHERE recorded_at >= %s AND recorded_at < %s", (inside, inside + FIVE))
        insert(db, "van", away)
        db.rows("SELECT start_rematch(%s, %s)", (inside - FIVE, inside + 2 * FIVE))
        process_all(db)
        (first, last) = (row for row in db.rows(ALL, ("van",)))
        assert first[0] == before[0][0] and abs(first[1] - inside) <= FIVE
        assert last[1] == before[0][1] and abs(last[0] - inside) <= 2 * FIVE
    else:
        db.rows("SELECT forget_device('van', %s, %s)", (inside, inside + timedelta(hours=2)))
        (first, last) = db.rows(ALL, ("van",))
        assert (first[0], first[1], last[0], last[1]) == (before[0][0], inside, inside + timedelta(hours=2), before[0][1])
    whole = db.rows("SELECT start_time, end_time FROM stops WHERE device_id = 'van' ORDER BY start_time")
    assert all(one[1] <= next[0] for one, next in zip(whole, whole[1:]))
    db.rows("CALL upkeep()")
    assert len(stops(db)) <= 4


def silent_stop(db, osrm, minutes):
    """Stands for three minutes, is silent, and stands again from so many minutes after the silence's begin on: joined by
    upkeep. Returns that begin."""
    start = db.value("SELECT date_trunc('day', now() - interval '2 days', 'UTC') + interval '3 hours'")
    there = drive(osrm, start - timedelta(minutes=8), seconds=300, noise=0)
    place = there[-1][:2]
    stands = [(*place, start + timedelta(minutes=minute, seconds=10 * n)) for minute in (-3, minutes) for n in range(18)]
    insert(db, "van", [*there, *stands])
    db.rows("SELECT start_backfill(%s, %s)", (start - timedelta(days=1), start + timedelta(days=1)))
    process_all(db)
    db.rows("CALL upkeep()")
    return start


def test_of_a_silence_nothing_is_left_when_both_of_its_ends_are_matched_anew(db, osrm):
    start = silent_stop(db, osrm, minutes=15)
    assert db.value("SELECT end_time - start_time FROM stops") > timedelta(minutes=17)
    # It had not stood at all.
    db.rows("DELETE FROM gps_coordinates WHERE recorded_at > %s", (start - timedelta(minutes=2, seconds=30),))
    db.rows("SELECT start_rematch(%s, %s)", (start - timedelta(minutes=10), start + timedelta(minutes=20)))
    process_all(db)
    assert stops(db) == []


def test_a_silence_goes_though_its_ends_are_matched_anew_one_after_the_other(db, osrm):
    start = silent_stop(db, osrm, minutes=40)
    assert db.value("SELECT end_time - start_time FROM stops") > timedelta(minutes=40)
    # It had not come back: what is left of the row ends with the window in which it was heard of last.
    db.rows("DELETE FROM gps_coordinates WHERE recorded_at > %s", (start + timedelta(minutes=20),))
    db.rows("SELECT start_rematch(%s, %s)", (start + timedelta(minutes=30), start + timedelta(minutes=50)))
    process_all(db)
    (stop,) = stops(db)
    assert stop[2] == start
    # Nor had it stood.
    db.rows("DELETE FROM gps_coordinates WHERE recorded_at > %s", (start - timedelta(minutes=2, seconds=30),))
    db.rows("SELECT start_rematch(%s, %s)", (start - timedelta(minutes=10), start))
    process_all(db)
    assert stops(db) == []


def test_a_device_that_a_worker_has_is_left_for_the_next_time(db, parked):
    with db.connect() as session, session.cursor() as cursor:
        cursor.execute("SELECT _lock_device('van')")
        db.rows("CALL upkeep()")
        assert len(stops(db)) >= 120
        session.rollback()
    db.rows("CALL upkeep()")
    assert len(stops(db)) == 2


def test_rows_that_somebody_refers_to_stay(db, parked):
    db.rows("CREATE TABLE visits (stop bigint REFERENCES stops (id))")
    db.rows("INSERT INTO visits SELECT id FROM stops")
    db.rows("CALL upkeep()")
    assert len(stops(db)) >= 120


def test_rows_that_are_gone_leave_no_room_behind_in_the_index_of_their_numbers(db):
    db.rows("INSERT INTO processing_batches (device_id, start_time, end_time, status)"
            " SELECT 'car-' || d, now() - interval '9 days', now() - interval '9 days' + interval '5 min', 'completed' FROM generate_series(1, 100) d")
    sizes = []
    for days_ago in range(8, 2, -1):
        # In the order in which a fleet's windows end; each vehicle stands at another time.
        db.rows("""INSERT INTO stops (device_id, start_time, end_time, longitude, latitude, source_coordinates_count)
                   SELECT 'car-' || d, t, t + interval '5 min', 24.9, 60.2, 5
                     FROM generate_series(1, 288) w CROSS JOIN generate_series(1, 100) d
                    CROSS JOIN LATERAL (SELECT date_trunc('day', now(), 'UTC') - interval '1 day' * %s + interval '5 min' * (w - 1)) AS n (t)
                    WHERE (w + 7 * d) %% 288 < 190 ORDER BY w""", (days_ago,))
        db.rows("CALL upkeep()")
        db.rows("VACUUM stops")
        sizes.append(db.value("SELECT pg_relation_size('stops_pkey')"))
    assert db.value("SELECT count(*) < 2000 FROM stops")
    assert sizes[-1] < 3 * sizes[0], sizes
