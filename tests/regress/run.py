"""Runs each file of tests/regress/sql with the pg_regress of the distribution, in a database of its own.

With --accept, what a file prints becomes what it is expected to print.
"""

import argparse
import shutil
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


def accept(name):
    printed = OUTPUT / "results" / f"{name}.out"
    shutil.copyfile(printed, HERE / "expected" / printed.name)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a file, without .sql; all if left out")
    parser.add_argument("--accept", action="store_true", help="take what they print as expected from now on")
    return parser.parse_args()


def main():
    options = arguments()
    exit_on_signals()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    names = options.names or sorted(path.stem for path in (HERE / "sql").glob("*.sql"))
    with Osrm(name="osrm-regress") as osrm:
        conf = {"osrm_matcher.osrm_url": osrm.url, "fsync": "off"}
        with Cluster("regress", conf=conf) as cluster:
            failed = [name for name in names if not run_one(cluster, name)]
    if options.accept:
        for name in failed:
            accept(name)
        return 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
