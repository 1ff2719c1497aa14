"""Exporters and Prometheus, as Debian has them, over a database of the tests: each on a free port of loopback."""

import json
import os
import re
import subprocess
import urllib.parse
import urllib.request
from contextlib import contextmanager

from . import env
from .osrm import free_port
from .process import Process
from .wait import wait_for

BIN = env.UNPACKED / "usr/bin"
GIVEN = env.ROOT / "docs/watching"  # what the manual gives for them
SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def read(url, trust=None):
    with urllib.request.urlopen(url, timeout=10, context=trust) as answer:
        return answer.read().decode()


def samples(url):
    """What an exporter tells, as (name, labels, value)."""
    for line in read(url).splitlines():
        found = SAMPLE.fullmatch(line)
        if found:
            yield found[1], dict(LABEL.findall(found[2] or "")), float(found[3])


@contextmanager
def _serving(name, command, path, environment=None):
    """Runs a program until the block ends; gives the address at which it answers."""
    port = free_port()
    url = f"http://127.0.0.1:{port}{path}"
    program = Process([BIN / name, *(word.format(port=port) for word in command)], f"{name}-{os.getpid()}",
                      environment=environment)
    try:
        wait_for(lambda: read(url), 30, f"{name} to answer (log: {program.log_path})")
        yield url
    finally:
        program.stop()


def postgres_exporter(database, role):
    """With the queries of the manual."""
    where = f"host={database.cluster.socket_dir} user={role} dbname={database.name} sslmode=disable"
    return _serving(
        "prometheus-postgres-exporter",
        ["--web.listen-address=127.0.0.1:{port}", f"--extend.query-path={GIVEN / 'postgres_exporter.yaml'}",
         "--disable-default-metrics", "--disable-settings-metrics"],
        "/metrics", {"DATA_SOURCE_NAME": where})


def sql_exporter(database, role, folder):
    """With the jobs of the manual; its connection alone is another."""
    text = (GIVEN / "sql_exporter.yml").read_text()
    (given,) = re.findall(r'"(postgres://.*)"', text)
    socket = urllib.parse.quote(database.cluster.socket_dir, safe="")
    config = folder / "sql_exporter.yml"
    config.write_text(text.replace(given, f"postgres://{role}@/{database.name}?host={socket}&sslmode=disable"))
    return _serving("prometheus-sql-exporter",
                    ["-config.file", str(config), "-web.listen-address", "127.0.0.1:{port}"], "/metrics")


def prometheus(folder, exporters):
    """With the manual's settings and rules; `exporters` are addresses in the order in which they stand there."""
    text = (GIVEN / "prometheus.yml").read_text().replace("alerts.yml", str(GIVEN / "alerts.yml"))
    for given, url in zip(re.findall(r'"localhost:\d+"', text), exporters, strict=True):
        text = text.replace(given, f'"{urllib.parse.urlsplit(url).netloc}"')
    config = folder / "prometheus.yml"
    config.write_text(f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n{text}")
    return _serving("prometheus", [f"--config.file={config}", f"--storage.tsdb.path={folder / 'series'}",
                                   "--web.listen-address=127.0.0.1:{port}"], "/-/ready")


def ask(ready_url, what, **parameters):
    """An answer of Prometheus' API."""
    base = ready_url.removesuffix("/-/ready")
    return json.loads(read(f"{base}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"))["data"]


def promtool(*arguments):
    """Runs it; (exit code, what it said)."""
    done = subprocess.run([BIN / "promtool", *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr
