"""Runs each file of tests/regress/sql with the pg_regress of the distribution, in a database of its own.

usage: run.py [name...]      To accept a new output, copy it from target/regress/results to expected/.
"""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import env  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402

HERE = Path(__file__).resolve().parent
OUTPUT = env.TARGET / "regress"
PG_REGRESS = env.PG_LIB / "pgxs/src/test/regress/pg_regress"
DATABASE = "regress"


def run_one(cluster, name):
    """True when the file printed what it should; else shows the difference."""
    cluster.create_database(DATABASE)
    result = subprocess.run(
        [PG_REGRESS, f"--inputdir={HERE}", f"--outputdir={OUTPUT}", f"--bindir={env.PG_BIN}",
         "--use-existing", f"--dbname={DATABASE}", f"--host={cluster.socket_dir}", "--port=5432",
         "--user=postgres", name],
        cwd=OUTPUT, capture_output=True, text=True,
    )
    difference = OUTPUT / "regression.diffs"
    print(f"{'ok' if result.returncode == 0 else 'not ok'} - {name}", flush=True)
    if result.returncode != 0:
        print(difference.read_text() if difference.exists() else result.stdout + result.stderr, flush=True)
    return result.returncode == 0


def main(names):
    exit_on_signals()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    names = names or sorted(path.stem for path in (HERE / "sql").glob("*.sql"))
    with Osrm(name="osrm-regress") as osrm:
        conf = {"osrm_matcher.osrm_url": osrm.url, "fsync": "off"}
        with Cluster("regress", conf=conf) as cluster:
            verdicts = [run_one(cluster, name) for name in names]
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
