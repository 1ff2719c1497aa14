"""Where a storm happens: a database with three tables of points, and what becomes of the plan's points there."""

import random
from contextlib import closing
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import NamedTuple

from psycopg2 import sql
from psycopg2.extras import execute_values

from harness.database import Database
from harness.route import moved, random_route

from . import fleet

# Old points wait for a backfill, recent ones are beyond all that is live, whatever the length of windows.
LOOK_BACK = timedelta(days=5)
DAYS_AGO = {"old": 13, "recent": 2}
LONGEST_ROUTE = 2200  # seconds


class Source(NamedTuple):
    """A table of points: its columns, how a point is put there, and how it is found again."""

    columns: str
    values: str
    device: str  # as text
    time: str  # the column
    moment: str  # the same as timestamptz
    place: str
    given: str  # what gives a point to another device

    @property
    def found(self):
        return f"{self.device} = %(device)s AND {self.moment} = %(time)s"

    @property
    def between(self):
        return f"{self.device} = %(device)s AND {self.moment} >= %(first)s AND {self.moment} < %(last)s"


SOURCES = {
    "gps_coordinates": Source(
        "device_id, longitude, latitude, recorded_at, accuracy",
        "(%(device)s, %(longitude)s, %(latitude)s, %(time)s, %(accuracy)s)",
        "device_id", "recorded_at", "recorded_at",
        "longitude = %(longitude)s, latitude = %(latitude)s", "device_id = %(other)s"),
    "markers": Source(
        "username, coords, created_at",
        "(%(device)s, ARRAY[%(longitude)s, %(latitude)s]::float8[], %(time)s)",
        "username", "created_at", "created_at",
        "coords = ARRAY[%(longitude)s, %(latitude)s]::float8[]", "username = %(other)s"),
    "positions": Source(
        "vehicle, lon, lat, at",
        "(%(device)s::integer, %(longitude)s, %(latitude)s, timezone('Asia/Kolkata', %(time)s))",
        "vehicle::text", "at", "timezone('Asia/Kolkata', at)",
        "lon = %(longitude)s, lat = %(latitude)s", "vehicle = %(other)s::integer"),
}
TABLES = """
    CREATE TABLE markers (id bigserial PRIMARY KEY, username text, coords double precision[], created_at timestamptz);
    CREATE TABLE positions (vehicle integer, at timestamp, lon double precision, lat double precision);
    SELECT adopt_source('markers');
    SELECT adopt_source('positions', device_column => 'vehicle', time_column => 'at', time_zone => 'Asia/Kolkata',
                        longitude_column => 'lon', latitude_column => 'lat');
    CREATE VIEW every_point AS
        SELECT device_id, recorded_at, processed, batch_id FROM gps_coordinates
        UNION ALL SELECT username, created_at, processed, batch_id FROM markers
        UNION ALL SELECT vehicle::text, timezone('Asia/Kolkata', at), processed, batch_id FROM positions"""


@lru_cache
def route(osrm, number):
    return random_route(osrm, LONGEST_ROUTE, random.Random(number))


class Scene:
    """The plan's points on the clock and on the map. Use as a context manager: databases go at its end."""

    def __init__(self, cluster, template, osrm, name):
        self.cluster = cluster
        self.name = name
        self._template = template
        self._osrm = osrm
        self._databases = []
        now = datetime.now(timezone.utc)
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        self.begins = {era: today - timedelta(days=days) for era, days in DAYS_AGO.items()}
        self.begins["live"] = now.replace(second=0, microsecond=0) - timedelta(seconds=fleet.ERAS["live"])
        self._moved = {}
        self._given = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for database in self._databases:
            database.disconnect()
            self.cluster.drop_database(database.name)

    def database(self, suffix, settings):
        """A fresh database with empty tables and these settings."""
        self.cluster.create_database(f"{self.name}_{suffix}", template=self._template)
        database = Database(self.cluster, f"{self.name}_{suffix}")
        self._databases.append(database)
        for name, value in {"look_back": f"{LOOK_BACK.days}d", "retry_pause": "1s", **settings}.items():
            database.set(f"osrm_matcher.{name}", value)
        database.rows(TABLES)
        return database

    def moment(self, era, second):
        return self.begins[era] + timedelta(seconds=second)

    def row(self, number, point):
        """What is to be inserted of a point."""
        longitude, latitude = moved(route(self._osrm, point.route).at(point.along), point.east, point.north)
        device = self._given.get(number, point.device)
        return {"device": device, "longitude": longitude, "latitude": latitude, "accuracy": point.accuracy,
                "time": self.moment(point.era, point.second) + timedelta(seconds=self._moved.get(number, 0))}

    def move(self, number, seconds):
        """From now on the point's time is another."""
        self._moved[number] = self._moved.get(number, 0) + seconds

    def give(self, number, device):
        """From now on the point is another device's."""
        self._given[number] = device


def insert(cursor, source, rows):
    execute_values(cursor, f"INSERT INTO {source} ({SOURCES[source].columns}) VALUES %s", rows,
                   template=SOURCES[source].values, page_size=10_000)


def copy_points(origin, copy):
    """Gives a database the points of another, none of them processed."""
    with closing(copy.connect()) as connection, connection.cursor() as cursor:
        for source, shape in SOURCES.items():
            rows = origin.rows(f"SELECT {shape.columns} FROM {source}")
            if rows:
                execute_values(cursor, f"INSERT INTO {source} ({shape.columns}) VALUES %s", rows, page_size=10_000)


def device_lock(device):
    """The statement that takes a device as a worker does."""
    return sql.SQL("SELECT _lock_device({})").format(sql.Literal(device))
