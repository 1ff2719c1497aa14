"""For how long adoption holds up a writer: the longest that an insert takes while a large table is adopted, beside the
same loop of inserts without adoption; for a table in one piece, in 60 partitions, for 400 small partitions, and, where
TimescaleDB is installed, for a hypertable of 60 chunks.
"""

import argparse
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import env  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402

COLUMNS = "id bigserial, username text, coords double precision[], created_at timestamptz NOT NULL"
FILL = """INSERT INTO markers (username, coords, created_at)
          SELECT 'u' || i % 1000, '{{24.9,60.1}}', date_trunc('day', now()) - i % {days} * interval '1 day' + i * interval '1 ms'
            FROM generate_series(1, {rows}) i"""
HYPERTABLE = """SET client_min_messages = error; CREATE EXTENSION timescaledb;
                SELECT create_hypertable('markers', 'created_at', chunk_time_interval => interval '1 day')"""
INSERT = "INSERT INTO markers (username, coords, created_at) VALUES ('writer', '{24.9,60.1}', now())"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000, help="of the large tables (default: %(default)s)")
    parser.add_argument("--only", default="", help="a word of the table to take, such as hypertable (default: all)")
    parser.add_argument("--without", type=float, default=20, help="seconds of inserts without adoption (default: %(default)s)")
    return parser.parse_args()


class Writer:
    """Inserts a row after the other, each in a transaction, for as long as the `with` block lasts."""

    def __init__(self, db):
        self._db = db
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.rows, self.longest = 0, 0.0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()

    def _write(self):
        with closing(self._db.connect()) as session, closing(session.cursor()) as cursor:
            while not self._done.is_set():
                begin = time.monotonic()
                cursor.execute(INSERT)
                self.longest = max(self.longest, time.monotonic() - begin)
                self.rows += 1

    def __str__(self):
        return f"{self.longest * 1000:8.0f} ms of {self.rows:8,} inserts"


def make(db, partitions, rows, hypertable):
    """The table, whose last partition is that of the present."""
    db.rows(f"CREATE TABLE markers ({COLUMNS})" + (" PARTITION BY RANGE (created_at)" if partitions else ""))
    for day in range(partitions):
        db.rows(f"""DO $$ BEGIN EXECUTE format('CREATE TABLE markers_{day} PARTITION OF markers FOR VALUES FROM (%L) TO (%L)',
                        date_trunc('day', now()) - {day} * interval '1 day', date_trunc('day', now()) - {day - 1} * interval '1 day');
                    END $$""")
    if hypertable:
        db.rows(HYPERTABLE)
    db.rows(FILL.format(rows=rows, days=partitions or 60))
    db.rows("VACUUM ANALYZE markers")


def adopt(db):
    for statement, in db.rows("SELECT statement FROM adopt_source('markers') WHERE NOT done"):
        db.rows(statement)


def main():
    exit_on_signals()
    options = arguments()
    timescale = env.has_extension("timescaledb")
    cases = [("in one piece", 0, options.rows, False), ("in 60 partitions", 60, options.rows, False),
             ("400 small partitions", 400, 40_000, False)]
    if timescale:
        cases.append(("in a hypertable of 60 chunks", 0, options.rows, True))
    cases = [case for case in cases if options.only in case[0]]
    with Cluster("bench-adoption", preload=["timescaledb"] if timescale else None, conf={
            "max_wal_size": "8GB", "shared_buffers": "1GB", "max_locks_per_transaction": "1024",
            "maintenance_work_mem": "256MB"}) as cluster:
        for what, partitions, rows, hypertable in cases:
            name = f"adoption_{partitions}_{hypertable}".lower()
            cluster.create_database(name, "template0")  # TimescaleDB looks into the other one at times
            db = Database(cluster, name)
            db.rows("CREATE EXTENSION osrm_matcher")
            make(db, partitions, rows, hypertable)
            with Writer(db) as without:
                time.sleep(options.without)
            begin = time.monotonic()
            with Writer(db) as beside:
                adopt(db)
            print(f"{rows:9,} rows, {what}: the longest insert took")
            print(f"    without adoption {without}")
            print(f"    beside adoption  {beside}, which took {time.monotonic() - begin:.0f} s", flush=True)
            db.disconnect()


if __name__ == "__main__":
    main()
