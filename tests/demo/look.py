"""`make psql`: opens the database that the last demo left, in psql, and stops it afterwards."""

import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.cluster import Cluster  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402


def main():
    exit_on_signals()
    # Without pg_cron: no OSRM runs, so the schedule could only fail.
    cluster = Cluster("demo", preload=(), fresh=False, keep=True)
    if not (cluster.data / "PG_VERSION").exists():
        raise SystemExit("there is no demo to look at: run `make demo` first")
    with cluster:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is psql's: it cancels a query
        return subprocess.call(cluster.psql_command("fleet"))


if __name__ == "__main__":
    sys.exit(main())
