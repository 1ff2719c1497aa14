"""What tests/setup/prepare.sh has set up, and where."""

import os
import pwd
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "target"
LOGS = TARGET / "logs"


def _read():
    path = TARGET / "setup.env"
    if not path.exists():
        raise SystemExit("target/setup.env is missing: run `make setup` first")
    pairs = (word.split("=", 1) for word in shlex.split(path.read_text()))
    return dict(pairs)


_ENV = _read()

PG_MAJOR = int(_ENV["PG_MAJOR"])
PG_BIN = Path(_ENV["PG_BIN"])
PG_LIB = Path(_ENV["PG_LIB"])
PG_SHARE = Path(_ENV["PG_SHARE"])
PGRX_PG_CONFIG_PATH = _ENV["PGRX_PG_CONFIG_PATH"]  # what a build of pgrx asks for
OSRM_BIN = Path(_ENV["OSRM_BIN"])
OSRM_PROFILES = Path(_ENV["OSRM_PROFILES"])
OSRM_GRAPH = Path(_ENV["OSRM_GRAPH"])
OSRM_BICYCLE_GRAPH = Path(_ENV["OSRM_BICYCLE_GRAPH"])
# Programs that look at the extension from outside, for `make test` alone.
UNPACKED = Path(_ENV.get("UNPACKED", TARGET / "unpacked"))
# Clusters lie here: a folder that the cluster's user can reach.
CLUSTERS = Path(_ENV["PRIVATE_DIR"]) / "clusters"


def has_extension(name):
    """Whether an extension other than ours, such as pg_cron, is installed for this PostgreSQL."""
    return (PG_SHARE / "extension" / f"{name}.control").exists()


def cluster_user():
    """The user to run PostgreSQL as: it refuses root. None means: as whoever runs this."""
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else None
