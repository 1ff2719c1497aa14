"""The same points matched in one go, in empty tables: what every history has to end with."""

from drives import paths, process_all, stops


def shown(db):
    """What readers see."""
    return paths(db), stops(db)


def from_scratch(db):
    """Forgets all that was stored, matches all points anew, however old, and returns what readers see."""
    db.rows("UPDATE gps_coordinates SET processed = false, batch_id = NULL")
    db.rows("TRUNCATE processing_batches, cached_polylines, stops")
    match_all(db)
    return shown(db)


def match_all(db):
    """Matches all unprocessed points, however old."""
    db.rows("""SELECT start_backfill(min(recorded_at), max(recorded_at) + interval '1 s')
                 FROM gps_coordinates WHERE NOT processed HAVING count(*) > 0""")
    process_all(db)
