"""The same points matched in one go, in empty tables: what every history has to end with."""

from drives import paths, process_all, stops
from harness.outcome import leftovers


def shown(db):
    """What readers see."""
    return paths(db), stops(db)


def forget_all(db):
    """Forgets all that was made of the points, so that they wait as if they had just come."""
    db.rows("UPDATE gps_coordinates SET processed = false, batch_id = NULL")
    db.rows("TRUNCATE processing_batches, cached_polylines, stops, known_seams")


def from_scratch(db):
    """Forgets all that was stored, matches all points anew, however old, and returns what readers see."""
    forget_all(db)
    match_all(db)
    return shown(db)


def assert_as_from_scratch(db):
    """Once nothing is pending."""
    process_all(db)
    assert leftovers(db) == {}
    history = shown(db)
    assert history == from_scratch(db)


def match_all(db):
    """Matches all unprocessed points, however old."""
    db.rows("""SELECT start_backfill(min(recorded_at), max(recorded_at) + interval '1 s')
                 FROM gps_coordinates WHERE NOT processed HAVING count(*) > 0""")
    process_all(db)
