"""Where the line was joined last is kept, and asked about once: what was kept shows in nothing but the requests."""

from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest

from drives import drive, insert, slot_start
from scratch import from_scratch, shown

SLOT = timedelta(minutes=15)
REFUSES = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON known_seams FOR EACH ROW EXECUTE FUNCTION refuse()"""
# Wherever this is believed, the line goes there.
ASTRAY = "UPDATE known_seams SET longitude = longitude + 0.001"
SEAMS = "SELECT device_id, seam_time, longitude, latitude FROM known_seams"


@pytest.fixture
def edge():
    """Between two slots that are over."""
    return slot_start(datetime.now(timezone.utc), 15) - SLOT


def run(db):
    db.rows("CALL process_pending(60)")


def settle(db, edge, second):
    """Matches the windows of the first or of the second slot as a whole; returns how many requests that took."""
    db.rows("UPDATE processing_batches SET settles_at = now() WHERE (start_time >= %s) = %s", (edge, second))
    run(db)
    return db.value("SELECT osrm_calls FROM worker_runs ORDER BY id DESC LIMIT 1")


@pytest.fixture
def open_db(db, osrm, edge):
    """A drive over two slots, of which nothing settles by itself."""
    db.set("osrm_matcher.settle_delay", "1h")
    insert(db, "bus", drive(osrm, edge - SLOT, seconds=1800))
    run(db)
    assert db.value("SELECT count(*) FROM processing_batches WHERE settles_at IS NULL") == 0
    assert db.rows(SEAMS) == []
    return db


@pytest.fixture
def half_settled(open_db, edge):
    settle(open_db, edge, second=False)
    [(device, time, *_)] = open_db.rows(SEAMS)
    assert device == "bus" and edge <= time < edge + timedelta(minutes=1)
    return open_db


def assert_as_from_scratch(db):
    history = shown(db)
    db.set("osrm_matcher.settle_delay", "0")
    assert history == from_scratch(db)


def test_the_next_slot_begins_there_and_costs_less(half_settled, edge):
    knowing = settle(half_settled, edge, second=True)
    history = shown(half_settled)
    half_settled.rows("TRUNCATE known_seams")
    assert settle(half_settled, edge, second=True) > knowing
    assert shown(half_settled) == history
    assert_as_from_scratch(half_settled)


def test_it_is_believed_where_all_that_decided_it_is_the_same(half_settled, edge):
    half_settled.rows(ASTRAY)
    [(*_, longitude, latitude)] = half_settled.rows(SEAMS)
    settle(half_settled, edge, second=True)
    [first] = half_settled.rows("""
        SELECT d.longitude, d.latitude
          FROM (SELECT * FROM cached_polylines WHERE start_time >= %s ORDER BY start_time LIMIT 1) c
         CROSS JOIN LATERAL decode_polyline(c.encoded_polyline) WITH ORDINALITY d WHERE d.ordinality = 1""", (edge,))
    assert first == pytest.approx((longitude, latitude), abs=2e-5)


@pytest.mark.parametrize("change", ["a point", "the profile", "the address", "a setting"])
def test_it_is_asked_about_again_where_something_is_another(half_settled, osrm, edge, change):
    half_settled.rows(ASTRAY)
    if change == "a point":
        half_settled.rows("""UPDATE gps_coordinates SET latitude = latitude + 0.00001 WHERE recorded_at = %s""", (edge,))
    elif change == "the profile":
        half_settled.set("osrm_matcher.profile", "car")
    elif change == "the address":
        half_settled.set("osrm_matcher.osrm_url", osrm.url.replace("127.0.0.1", "localhost"))
    else:
        half_settled.set("osrm_matcher.gps_accuracy", "6")
    settle(half_settled, edge, second=False)
    settle(half_settled, edge, second=True)
    assert_as_from_scratch(half_settled)


def test_what_is_matched_once_more_asks_about_all_anew(half_settled, edge):
    settle(half_settled, edge, second=True)
    half_settled.rows("UPDATE processing_batches SET settles_at = NULL")
    history = shown(half_settled)
    half_settled.rows(ASTRAY)
    half_settled.rows("SELECT start_rematch(%s, %s)", (edge, edge + SLOT))
    run(half_settled)
    assert half_settled.value("SELECT status FROM get_jobs()") == "done"
    assert shown(half_settled) == history


def test_somebody_has_the_table(half_settled, edge):
    with closing(half_settled.connect(autocommit=False)) as other:
        other.cursor().execute("LOCK TABLE known_seams IN ACCESS EXCLUSIVE MODE")
        settle(half_settled, edge, second=True)
    assert_as_from_scratch(half_settled)


def test_a_trigger_is_against_it(open_db, edge):
    open_db.rows(REFUSES)
    with closing(open_db.connect()) as session, session.cursor() as cursor:
        open_db.rows("UPDATE processing_batches SET settles_at = now()")
        cursor.execute("CALL process_pending(60)")
        assert "could not keep where lines were joined" in "".join(session.notices)
    assert open_db.rows(SEAMS) == []
    assert_as_from_scratch(open_db)


def test_it_goes_with_its_device_and_with_old_paths(half_settled):
    half_settled.rows("INSERT INTO known_seams SELECT 'old', fingerprint, now() - interval '40 days', longitude, latitude, "
                      "on_road, hidden_noise, radius, off_road FROM known_seams")
    half_settled.rows("SELECT delete_old(interval '30 days')")
    assert half_settled.value("SELECT array_agg(device_id) FROM known_seams") == ["bus"]
    half_settled.rows("SELECT forget_device('bus')")
    assert half_settled.rows(SEAMS) == []
