"""`make installs`: every way to install the extension, each tried from nothing up to a matched path.

"Nothing" is a Debian as debootstrap makes it. `make installs WAYS="deb image"` tries some of them only. Packages are
built in a root of their own, and installed in another, that has neither Rust nor a compiler.
"""

import functools
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.debian_root import ROOTS, DebianRoot, sources  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402

HERE = Path(__file__).resolve().parent
OSRM = HERE.parents[1] / "target/osrm"
SUITES = {"bookworm": 15, "trixie": 17}
UPDATE = "set -euo pipefail; apt-get update -qq; "
INSTALL = "apt-get install -y -qq --no-install-recommends"
# What .dockerignore lets through takes the place of all sources.
BUILD_CONTEXT = """
cd /src
mkdir -p /context/target
cp -a --parents $(sed -n 's/^!//p' .dockerignore | grep -vx tests) /context
mount --bind target /context/target
mount --rbind /context /src
cd /src
"""


def run(root, script, **options):
    """Runs a script, and shows what it said only if it failed."""
    done = root.run(script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode != 0:
        raise RuntimeError(f"exit code {done.returncode} of: {script}\n{done.stdout[-4000:]}")
    return done.stdout


def first_path(root, suite):
    """Goes on to a matched path, and returns the line that says so."""
    return run(root, f"/try/first_path.sh {SUITES[suite]} /osrm", network=False).splitlines()[-1]


def packages(suite):
    """The folder with the Debian package, built in a root of its own."""
    with sources(suite) as folders, DebianRoot(suite, folders) as root:
        run(root, f"{UPDATE} {INSTALL} make; cd /src; rm -rf target/deb; make deb")
    return ROOTS / f"built-{suite}/deb"


def deb(suite):
    with DebianRoot(suite, {packages(suite): "/deb", OSRM: "/osrm", HERE: "/try"}) as root:
        run(root, f"{UPDATE} {INSTALL} /deb/*.deb; ! command -v gcc cargo rustc")
        return first_path(root, suite)


def source(suite):
    """`make install`, as docs/install.md has it."""
    with sources(suite) as folders, DebianRoot(suite, {**folders, OSRM: "/osrm", HERE: "/try"}) as root:
        run(root, f"{UPDATE} {INSTALL} make postgresql; cd /src; make install")
        return first_path(root, suite)


def pgxn(suite):
    """The zip of a release, through the client of PGXN. Crates that were built before are not built again."""
    with sources(suite) as folders, DebianRoot(suite, {**folders, OSRM: "/osrm", HERE: "/try"}) as root:
        run(root, f"{UPDATE} {INSTALL} make postgresql pgxnclient zip; "
                  "ln -s /src /osrm_matcher; cd /; zip -qr osrm_matcher.zip osrm_matcher -x 'osrm_matcher/target/*'; "
                  "CARGO_TARGET_DIR=/src/target pgxn install ./osrm_matcher.zip")
        return first_path(root, suite)


@functools.cache
def deployment():
    """compose.yaml as Docker Compose reads it, with all that it fills in. Debian 12 has one that is too old for it."""
    with DebianRoot("trixie") as root:
        return run(root, f"{{ {UPDATE} {INSTALL} docker-compose; }} </dev/null >/dev/null 2>&1; cd /opt; MAP=/map.osm.pbf "
                         "POSTGRES_PASSWORD=secret docker-compose --file - config --format json",
                   input=(HERE.parents[1] / "compose.yaml").read_text())


def image(suite):
    """What the Dockerfile runs and then what compose.yaml does, where there is no engine for either."""
    major = SUITES[suite]
    with sources(suite) as folders, DebianRoot(suite, folders) as root:
        run(root, f"{UPDATE} {INSTALL} postgresql-{major}; {BUILD_CONTEXT} PG={major} tests/setup/prepare.sh build")
    package = ROOTS / f"built-{suite}/package"
    with DebianRoot(suite, {package: "/package", OSRM: "/osrm", HERE.parent: "/tests"}) as root:
        run(root, f"{UPDATE} {INSTALL} postgresql-{major} python3; cp -r /package/. /; "
                  f"/tests/setup/image.sh {major}; ! command -v gcc")
        said = run(root, f"/usr/bin/python3 -B /tests/installs/compose.py {major} /osrm", network=False, input=deployment())
        return said.splitlines()[-1]


def postgres(suite):
    """Not a way to install, but on to a newer PostgreSQL, as from one Debian to the next: in place, and by a dump."""
    folders = {packages("bookworm"): "/deb/15", packages(suite): "/deb/17", OSRM: "/osrm", HERE: "/try"}
    with DebianRoot(suite, folders) as root:
        run(root, f"sed 's/{suite}/bookworm/' /etc/apt/sources.list >/etc/apt/sources.list.d/old.list; {UPDATE} "
                  f"{INSTALL} /deb/*/*.deb postgresql-15-cron postgresql-17-cron")
        said = run(root, "set -e; . /try/start_osrm.sh /osrm; runuser -u postgres -- /try/new_postgres.sh", network=False)
        return ", ".join(said.splitlines()[-2:])


# Each way, and the Debians that it is tried on.
WAYS = {
    "deb": (deb, SUITES),
    "source": (source, SUITES),
    "pgxn": (pgxn, SUITES),
    "image": (image, SUITES),
    "postgres": (postgres, ["trixie"]),
}


def main(names):
    exit_on_signals()
    failed = 0
    for name in names or WAYS:
        way, suites = WAYS[name]
        for suite in suites:
            begin = time.monotonic()
            try:
                said = way(suite)
            except RuntimeError as error:
                said, failed = f"FAILED: {error}", failed + 1
            print(f"  {name:8} {suite:9} {time.monotonic() - begin:5.0f} s  {said}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
