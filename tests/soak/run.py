"""`make soak`: ten minutes of everything at once. SOAK_SECONDS=60 makes it a minute, SEED= gives it other chances."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.process import exit_on_signals  # noqa: E402
from soak.load import Soak  # noqa: E402
from storm.servers import servers, show  # noqa: E402


def main():
    exit_on_signals()
    seconds, seed = int(os.environ.get("SOAK_SECONDS", 600)), int(os.environ.get("SEED", 1))
    with servers("soak") as (cluster, template, osrm, faults):
        wrong = Soak(cluster, template, osrm, faults, seconds, seed, say=lambda line: print(line, flush=True)).run()
    show(wrong)
    print(f"soak failed, seed {seed}; its steps are in target/logs/soak-steps.log" if wrong
          else "soak passed: everything was processed exactly once, as by one quiet worker")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
