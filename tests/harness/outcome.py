"""What must be true of the tables once everything is processed, whatever happened on the way."""

_LEFTOVERS = """
    SELECT (SELECT count(*) FROM gps_coordinates WHERE NOT processed) AS unprocessed,
           (SELECT count(*) FROM processing_batches
             WHERE status IN ('pending', 'processing')) AS open_batches,
           (SELECT count(*) FROM gps_coordinates p
             WHERE NOT EXISTS (SELECT FROM processing_batches b
                                WHERE b.batch_id = p.batch_id AND b.device_id = p.device_id
                                  AND p.recorded_at >= b.start_time
                                  AND p.recorded_at < b.end_time)) AS points_of_no_batch,
           (SELECT count(*) FROM processing_batches b
             WHERE coordinate_count <> (SELECT count(*) FROM gps_coordinates p
                                         WHERE p.device_id = b.device_id
                                           AND p.recorded_at >= b.start_time
                                           AND p.recorded_at < b.end_time)) AS batches_that_miscount,
           (SELECT count(*) FROM cached_polylines c
             WHERE NOT EXISTS (SELECT FROM processing_batches b
                                WHERE b.batch_id = c.batch_id AND b.device_id = c.device_id
                                  AND c.start_time >= b.start_time
                                  AND c.start_time < b.end_time)) AS paths_of_no_batch,
           (SELECT count(*) FROM stops s
             WHERE s.batch_id IS NOT NULL AND NOT EXISTS (SELECT FROM processing_batches b
                                WHERE b.batch_id = s.batch_id AND b.device_id = s.device_id
                                  AND s.start_time >= b.start_time
                                  AND s.start_time < b.end_time)) AS stops_of_no_batch"""
# A row of stops that is of several windows has no batch.

# Without what may differ from history to history: ids, and when and how fast it was done.
COLUMNS = {
    "paths": (
        "device_id", "start_time", "end_time", "encoded_polyline", "osrm_confidence", "point_count",
        "source_coordinates_count", "match_status", "grade", "matched_share", "mean_offset_m", "length_m",
        "fixes_length_m", "max_speed_mps", "reason"),
    "stops": ("device_id", "start_time", "end_time", "longitude", "latitude", "source_coordinates_count"),
    "batches": (
        "device_id", "start_time", "end_time", "status", "coordinate_count", "error_code", "retry_count",
        "context_start", "context_end", "duplicate_count", "outlier_count", "rejected_count", "osrm_group"),
}
_TABLES = {"paths": "cached_polylines", "stops": "stops", "batches": "processing_batches"}


def leftovers(database, points="gps_coordinates"):
    """What is open, lost or doubled, as counts by name; empty when nothing is. `points` is where all points are."""
    counts = database.row(_LEFTOVERS.replace("gps_coordinates", points))
    return {name: count for name, count in counts.items() if count}


def decided(database):
    """Everything that was decided: paths with their figures, stops, and each window's verdict."""
    return {
        part: database.rows(f"SELECT {', '.join(columns)} FROM {_TABLES[part]} ORDER BY device_id, start_time")
        for part, columns in COLUMNS.items()
    }


def joined_stops(database):
    """Rows of stops of several windows, which upkeep made of theirs: (device, start, end)."""
    return database.rows("SELECT device_id, start_time, end_time FROM stops WHERE batch_id IS NULL ORDER BY 1, 2")


def locked_devices(database):
    """How many places of the workers' lock are taken by others at this moment."""
    return database.value("""
        SELECT (SELECT count(*) FROM device_locks)
             - (SELECT count(*) FROM (SELECT FROM device_locks FOR UPDATE SKIP LOCKED) AS free)""")
