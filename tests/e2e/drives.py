"""Points to insert: a drive as a receiver would report it, and how they get into the table."""

import random
from datetime import datetime, timedelta, timezone
from functools import lru_cache

from psycopg2.extras import execute_values

from harness.route import moved, random_route


def slot_start(moment, length):
    """The start of the slot, or window, of so many minutes that a moment is in."""
    return moment.replace(minute=moment.minute - moment.minute % length, second=0, microsecond=0)


@lru_cache
def recent_window(minutes_ago=60, length=15):
    """The start of a slot, or of a longer window, that was some time ago: it has settled, unless what is driven
    there comes near the present.

    The same at every call of a session, so that what two tests insert can be compared.
    """
    return slot_start(datetime.now(timezone.utc) - timedelta(minutes=minutes_ago), length)


@lru_cache
def drive(osrm, start, seconds, interval=5.0, noise=4.0, seed=1):
    """Fixes (longitude, latitude, recorded_at) of a drive over Helsinki. The same at every call."""
    chance = random.Random(seed)
    route = random_route(osrm, seconds, chance)
    fixes = []
    for number in range(int(seconds / interval)):
        after = number * interval
        place = moved(route.at(after), chance.gauss(0, noise), chance.gauss(0, noise))
        fixes.append((*place, start + timedelta(seconds=after)))
    return tuple(fixes)


def insert(db, device, fixes):
    """Inserts the fixes, in the order given, as one statement."""
    connection = db.connect()
    try:
        with connection.cursor() as cursor:
            execute_values(
                cursor,
                "INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at) VALUES %s",
                [(device, *fix) for fix in fixes], page_size=10_000,
            )
    finally:
        connection.close()


def process_all(db):
    """Runs until nothing is pending, as the schedule's procedure does; fails when something stays."""
    db.rows("CALL process_pending(300)")
    assert waiting(db) == 0, db.rows("SELECT status, error_code, error_message FROM processing_batches")


def waiting(db):
    return db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed")


def paths(db):
    """What readers see: everything about the paths but ids and the times of their making."""
    return db.rows("""
        SELECT device_id, start_time, end_time, encoded_polyline, osrm_confidence, point_count,
               source_coordinates_count, match_status, reason
          FROM cached_polylines ORDER BY device_id, start_time""")


def stops(db):
    return db.rows("""
        SELECT device_id, start_time, end_time, longitude, latitude, source_coordinates_count
          FROM stops ORDER BY device_id, start_time""")
