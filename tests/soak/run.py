"""`make soak`: ten minutes of everything at once. SOAK_SECONDS=60 makes it a minute."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.cluster import Cluster  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402
from soak.load import Soak  # noqa: E402


def main():
    exit_on_signals()
    seconds = int(os.environ.get("SOAK_SECONDS", 600))
    with Osrm(name="osrm-soak") as osrm, Cluster("soak", conf={"osrm_matcher.osrm_url": osrm.url}) as cluster:
        databases = []
        for name in ("loud", "quiet"):
            cluster.create_database(name)
            databases.append(Database(cluster, name))
            databases[-1].rows("CREATE EXTENSION osrm_matcher")
        wrong = Soak(*databases, osrm, seconds, say=lambda line: print(line, flush=True)).run()
    for line in wrong:
        print(f"wrong: {line}")
    print("soak failed" if wrong else "soak passed: everything was processed exactly once, as by one quiet worker")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
