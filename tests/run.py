"""Runs every kind of test, one after another, and ends with the line `N passed, N failed`.

The counts are those that the tools themselves report. A kind that ran no test at all has failed.
"""

import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter

from harness import env
from harness.process import exit_on_signals

PYTHON = "/usr/bin/python3"  # the one whose packages setup installs
# Each with a cluster and an OSRM of its own: half of the time a test waits for one of them. A file stays in one piece.
PROCESSES = ["--numprocesses=2", "--dist=loadfile"]
# The crates are those that the build has compiled already; our own one is checked at every step, as in a debug build.
CHECKED = [word for setting in ("opt-level=0", "debug-assertions=true", "overflow-checks=true")
           for word in ("--config", f"profile.release.package.osrm_matcher.{setting}")]


def stream(command, **options):
    """Runs a command, shows what it prints, and returns (exit code, the lines)."""
    lines = []
    child = subprocess.Popen(
        [str(word) for word in command], cwd=env.ROOT, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,
    )
    try:
        for line in child.stdout:
            print(line, end="", flush=True)
            lines.append(line)
        return child.wait(), lines
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()


def unit():
    """Tests of the modules that know no PostgreSQL."""
    code, lines = stream(
        ["cargo", "test", "--release", *CHECKED, "--quiet", "--locked",
         "--no-default-features", "--features", f"pg{env.PG_MAJOR}"],
        env={**os.environ, "PGRX_PG_CONFIG_PATH": env.PGRX_PG_CONFIG_PATH},
    )
    counts = [re.match(r"test result: .*? (\d+) passed; (\d+) failed", line) for line in lines]
    counts = [(int(found[1]), int(found[2])) for found in counts if found]
    return code, Counter(passed=sum(passed for passed, _ in counts), failed=sum(failed for _, failed in counts))


def regress():
    """The SQL surface, compared with what it is expected to print."""
    code, lines = stream([PYTHON, "-B", env.ROOT / "tests/regress/run.py"])
    verdicts = [re.match(r"(ok|not ok) - ", line) for line in lines]
    verdicts = [found[1] for found in verdicts if found]
    return code, Counter(passed=verdicts.count("ok"), failed=verdicts.count("not ok"))


def end_to_end():
    """A real cluster, a real OSRM, real pg_cron, seen from outside."""
    report = env.TARGET / "pytest.xml"
    report.unlink(missing_ok=True)
    code, _ = stream(
        [PYTHON, "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs", "--durations=10",
         *PROCESSES, f"--junitxml={report}", env.ROOT / "tests"],
    )
    if not report.exists():
        return code, Counter()
    suite = ElementTree.parse(report).getroot().find("testsuite")
    count = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    failed = count["failures"] + count["errors"]
    passed = count["tests"] - failed - count["skipped"]
    return code, Counter(passed=passed, failed=failed, skipped=count["skipped"])


def words(count):
    """Such as `3 passed, 0 failed`; what was skipped is told where there is any."""
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    return f"{count['passed']} passed, {count['failed']} failed{skipped}"


def main():
    exit_on_signals()
    total = Counter()
    for title, phase in (("unit", unit), ("SQL regression", regress), ("end to end", end_to_end)):
        print(f"\n==> {title} tests", flush=True)
        begin = time.monotonic()
        code, count = phase()
        if count["passed"] + count["failed"] == 0 or (code != 0 and count["failed"] == 0):
            print(f"the {title} tests did not run to their end (exit code {code})")
            count["failed"] += 1
        print(f"==> {title}: {words(count)} in {time.monotonic() - begin:.0f} s", flush=True)
        total += count
    (env.TARGET / "test-verdict").write_text(words(total) + "\n")
    print(f"\n{words(total)}", flush=True)
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
