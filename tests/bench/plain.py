"""The worker that applications have without the extension: see plain_worker.js."""

import os
import subprocess
import time
from pathlib import Path

from harness import env

NODE_MODULES = env.UNPACKED / "usr/share/nodejs"
TABLES = """
    CREATE TABLE points (id bigserial PRIMARY KEY, device_id text NOT NULL, longitude float8 NOT NULL,
                         latitude float8 NOT NULL, recorded_at timestamptz NOT NULL, processed boolean NOT NULL DEFAULT false);
    CREATE INDEX ON points (device_id, recorded_at) WHERE NOT processed;
    CREATE TABLE lines (id bigserial PRIMARY KEY, device_id text NOT NULL, start_time timestamptz NOT NULL,
                        end_time timestamptz NOT NULL, encoded_polyline text NOT NULL);
    CREATE INDEX ON lines (device_id, start_time)"""


class PlainWorker:
    def __init__(self, db, osrm):
        db.rows(TABLES)
        self._environment = {
            "PGHOST": str(db.cluster.socket_dir), "PGPORT": "5432", "PGUSER": db.value("SELECT current_user"),
            "PGDATABASE": db.name, "OSRM_URL": osrm.url, "NODE_PATH": str(NODE_MODULES), "PATH": os.environ["PATH"]}
        self.windows = self.seconds = 0

    def run(self):
        """Works until nothing is left."""
        begin = time.monotonic()
        program = Path(__file__).with_name("plain_worker.js")
        done = subprocess.run(["node", program], env=self._environment, capture_output=True, text=True, check=True)
        self.seconds += time.monotonic() - begin
        self.windows += int(done.stdout)
