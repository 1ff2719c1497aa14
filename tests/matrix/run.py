"""`make matrix`: all tests, on every PostgreSQL that can be had here, each in a clean Debian made by debootstrap.

`make matrix ON="17 18"` takes some of them only; the last one is another OSRM, from PyPI as well. What was built is
kept for the next time. Ends with a table, which is in target/matrix.md, too; the whole output of each is beside it.
"""

import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.debian_root import ROOT, DebianRoot, sources  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402

START = """
set -euo pipefail
apt-get update -qq
apt-get install -y -qq --no-install-recommends make >/dev/null
cd /src
"""
# PostgreSQL 16 is in no Debian: a wheel has its server and headers, and neither pg_cron nor PostGIS.
WHEEL = START + """
apt-get install -y -qq --no-install-recommends python3-pip unzip adduser >/dev/null
adduser --quiet --system --group --no-create-home postgres
python3 -m pip download --quiet --no-deps --python-version 3.12 --only-binary=:all: \\
    --platform "manylinux_2_17_$(uname -m)" --dest /tmp/wheel pgserver==0.1.4
unzip -q /tmp/wheel/*.whl -d /opt/wheel
chmod +x /opt/wheel/pgserver/pginstall/bin/*
echo /opt/wheel/pgserver.libs >/etc/ld.so.conf.d/wheel.conf # a copy of its programs, too, has to find them
ldconfig
PG_CONFIG=/opt/wheel/pgserver/pginstall/bin/pg_config make test
"""
# PostgreSQL, the Debian to try it on, and how.
PLACES = {
    "14": ("bookworm", START + ". tests/matrix/postgres_14.sh; make test"),
    "15": ("bookworm", START + "PG=15 make test"),
    "16": ("bookworm", WHEEL),
    "17": ("trixie", START + "PG=17 make test"),
    "18": ("forky", START + "PG=18 make test"),
    "15 with OSRM 26.7.2": ("bookworm", START + "PG=15 OSRM=26.7.2 make test"),
}


def verdict(log):
    """The last count of the tests, as tests/run.py prints it."""
    found = re.findall(r"^(\d+ passed, \d+ failed(?:, \d+ skipped)?)$", log.read_text(errors="replace"), re.MULTILINE)
    return found[-1] if found else f"no test was run (see {log.relative_to(ROOT)})"


def attempt(what):
    """Runs all tests on one of them; a row of the table, and whether all is well."""
    suite, script = PLACES[what]
    log = ROOT / f"target/matrix-{what.replace(' ', '-')}.log"
    begin = time.monotonic()
    with sources(suite) as folders, DebianRoot(suite, folders) as root, log.open("w") as output:
        code = root.run(script, stdout=output, stderr=output).returncode
    minutes = (time.monotonic() - begin) / 60
    return f"| {what} | Debian {suite} | {verdict(log)} | {minutes:.0f} |", code == 0


def main(wanted):
    exit_on_signals()
    table = ["| PostgreSQL | on | tests | minutes |", "|---|---|---|---|"]
    print("\n".join(table), flush=True)
    well = True
    for what in wanted or PLACES:
        row, passed = attempt(what)
        print(row, flush=True)
        table.append(row)
        well = well and passed
    (ROOT / "target/matrix.md").write_text("\n".join(table) + "\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
