"""The way through the extension: points into its table, a run, paths out of its table."""

import io
from collections import defaultdict
from typing import NamedTuple

from harness.database import Database

import polyline

LOOK_BACK = 1_000_000_000  # seconds: the drives carry fixed times of long ago
MINUTE = 60


class Path(NamedTuple):
    """A row of cached_polylines."""

    start: str
    end: str
    encoded: str
    status: str

    @property
    def line(self):
        return polyline.decode(self.encoded)


def new_database(cluster, name, osrm, window="5min"):
    """A database of its own with the extension in it."""
    cluster.create_database(name)
    db = Database(cluster, name)
    db.rows("CREATE EXTENSION osrm_matcher")
    db.set("osrm_matcher.osrm_url", osrm.url)
    db.set("osrm_matcher.window", window)
    db.set("osrm_matcher.look_back", LOOK_BACK)
    return db


def match_in_bulk(db, drives):
    """All points at once, then one run."""
    _insert(db, [(drive.device, *fix) for drive in drives for fix in drive.fixes])
    _process(db)


def match_live(db, drives):
    """A run after each minute of the drives' own time, over the points that have come by then."""
    by_minute = defaultdict(list)
    for drive in drives:
        for fix in drive.fixes:
            by_minute[fix[0] // MINUTE].append((drive.device, *fix))
    for _, rows in sorted(by_minute.items()):
        _insert(db, rows)
        _process(db)


def paths(db):
    """Paths by device, in the order of time."""
    found = defaultdict(list)
    for device, *path in db.rows(
        "SELECT device_id, start_time::text, end_time::text, encoded_polyline, match_status"
        " FROM cached_polylines ORDER BY device_id, start_time"
    ):
        found[device].append(Path(*path))
    return found


def lines(paths, drives, status=("matched", "raw")):
    """Lines by device, of paths by device."""
    return {drive.device: [path.line for path in paths[drive.device] if path.status in status] for drive in drives}


def stops(db):
    """All rows of stops that a reader can see."""
    return db.rows(
        "SELECT device_id, start_time::text, end_time::text, longitude, latitude"
        " FROM stops ORDER BY device_id, start_time"
    )


def _insert(db, rows):
    text = "".join(f"{device}\t{lon}\t{lat}\t{time}\n" for device, time, lon, lat in rows)
    connection = db.connect()
    with connection.cursor() as cursor:
        # timestamptz does not read epoch seconds, so the rows take a way round.
        cursor.execute("CREATE TEMP TABLE fixes (device text, lon float8, lat float8, epoch float8)")
        cursor.copy_expert("COPY fixes FROM STDIN", io.StringIO(text))
        cursor.execute(
            "INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)"
            " SELECT device, lon, lat, to_timestamp(epoch) FROM fixes"
        )
    connection.close()


def _process(db):
    db.rows("CALL process_pending(max_seconds => 600)")
    # After a large run a schedule looks for old points more rarely; by hand, all is looked through.
    db.rows("SELECT * FROM process_pending_gps(1000000, 600)")
    left = db.value("SELECT count(*) FROM gps_coordinates WHERE NOT processed")
    if left:
        raise RuntimeError(f"{left} points are still unprocessed: see processing_batches and worker_runs")
