"""The endpoints and the client of docs/application.md, as they stand there, over a real database."""

import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest
from drives import drive, insert, process_all, recent_window
from harness import env
from harness.osrm import free_port
from harness.process import Process
from harness.wait import wait_for

PAGE = (env.ROOT / "docs/application.md").read_text()
NODE = shutil.which("node")
NODE_MODULES = env.UNPACKED / "usr/share/nodejs"
PYTHON = "/usr/bin/python3"
SERVE = """
import sys
from wsgiref.simple_server import make_server
from app import app
make_server("127.0.0.1", int(sys.argv[1]), app).serve_forever()
"""
needs_node = pytest.mark.skipif(NODE is None or not (NODE_MODULES / "pg").exists(), reason="no Node with pg here")


def block(first_line):
    """The block of code whose first line begins so."""
    (found,) = re.findall(rf"^```\w+\n((?:// |# ){re.escape(first_line)}.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return found


@pytest.fixture
def fleet(db, osrm):
    """Two devices of which one has a tail, and a reader. Yields the database and how a program finds it."""
    insert(db, "bus", drive(osrm, recent_window(), seconds=600))
    process_all(db)
    insert(db, "bus", drive(osrm, datetime.now(timezone.utc) - timedelta(minutes=2), seconds=60, seed=2))
    db.set("osrm_matcher.notify", "on")
    role = f"reader_{db.name}"
    db.rows(f"CREATE ROLE {role} LOGIN; SELECT grant_reader('{role}')")
    yield db, {"PGHOST": db.cluster.socket_dir, "PGPORT": "5432", "PGUSER": role, "PGDATABASE": db.name,
               "PATH": os.environ["PATH"], "NODE_PATH": str(NODE_MODULES), "PYTHONDONTWRITEBYTECODE": "1"}
    db.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")
    db.rows(f"DROP OWNED BY {role}; DROP ROLE {role}")


@contextmanager
def running(name, command, environment):
    """A program that runs until the block ends."""
    program = Process(command, f"{name}-{os.getpid()}", environment=environment)
    try:
        yield program
    finally:
        program.stop()


@contextmanager
def node_server(where, folder):
    (folder / "server.js").write_text(block("server.js"))
    port = free_port()
    with running("application-node", [NODE, folder / "server.js"], {**where, "PORT": str(port)}):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def python_server(where, folder):
    (folder / "app.py").write_text(block("app.py"))
    (folder / "serve.py").write_text(SERVE)
    port = free_port()
    with running("application-python", [PYTHON, folder / "serve.py", port], where):
        yield f"http://127.0.0.1:{port}"


SERVERS = [pytest.param(node_server, marks=needs_node, id="node"), pytest.param(python_server, id="python")]


def get(url, **parameters):
    """(status, type, body) of an answer."""
    try:
        with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.headers["Content-Type"], refusal.read().decode()


@pytest.mark.parametrize("server", SERVERS)
def test_an_endpoint_passes_on_what_the_database_says(fleet, tmp_path, server):
    db, where = fleet
    with server(where, tmp_path) as url:
        wait_for(lambda: get(f"{url}/device", device="bus"), 20, "the server to answer")
        status, kind, body = get(f"{url}/device", device="bus")
        assert (status, kind) == (200, "application/json")
        document, page = json.loads(body), db.value("SELECT get_device_page('bus', tail => true)")
        assert document["paths"] == page["paths"]
        assert document["paths"][-1]["match_status"] == "tail"
        assert json.loads(get(f"{url}/fleet", hours=2)[2]) == db.value("SELECT get_fleet_page(2)")
        changes = json.loads(get(f"{url}/changes", since="2024-01-01", device="bus")[2])
        assert {window["device"] for window in changes["windows"]} == {"bus"}
        assert json.loads(get(f"{url}/changes", since="2024-01-01", device="van")[2])["windows"] == []
        # A hostile name is a name; what is no number, no time or missing is the caller's fault.
        assert json.loads(get(f"{url}/device", device="'; DROP TABLE stops; --")[2])["paths"] == []
        assert get(f"{url}/device", device="bus", hours="many")[0] == 400
        assert get(f"{url}/changes", since="never")[0] == 400
        assert get(f"{url}/device")[0] == 400
        assert get(f"{url}/nothing")[0] == 404
        # Who loses the database says so, and finds it again.
        db.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (where["PGUSER"],))
        wait_for(lambda: get(f"{url}/device", device="bus")[0] == 200, 20, "the server to find the database again")


@needs_node
def test_node_tells_a_page_at_once_which_device_has_new_paths(fleet, tmp_path):
    db, where = fleet
    with node_server(where, tmp_path) as url:
        events = wait_for(lambda: urllib.request.urlopen(f"{url}/events", timeout=20), 20, "the server to answer")
        with events:
            db.wait_until("SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND usename = %s",
                          parameters=(where["PGUSER"],))
            process_all(db)
            told = next(line for line in events if line.startswith(b"data:"))
    assert told == b'data: "bus"\n'


def test_python_is_told_which_device_has_new_paths(fleet, tmp_path):
    db, where = fleet
    program = tmp_path / "changes.py"
    program.write_text(block("changes.py"))
    with running("application-listener", [PYTHON, program], where) as listener:
        wait_for(lambda: listener.log_tail(1) == "listening", 20, "the listener")
        process_all(db)
        wait_for(lambda: listener.log_tail(1) == "bus", 20, "the message")


def in_node(code):
    """What a program prints, as JSON."""
    done = subprocess.run([NODE, "-e", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@needs_node
def test_the_client_draws_what_the_database_means(fleet):
    db, _ = fleet
    client = block("client.js")
    page = db.value("SELECT get_device_page('bus', tail => true)")
    lines = [path["encoded_polyline"] for path in page["paths"]]
    decoded = in_node(f"{client}; console.log(JSON.stringify({json.dumps(lines)}.map(decode)))")
    for line, places in zip(lines, decoded, strict=True):
        truth = db.rows("SELECT latitude, longitude FROM decode_polyline(%s) ORDER BY ordinal", (line,))
        assert [tuple(place) for place in places] == truth


@needs_node
def test_the_client_that_applies_changes_has_what_a_new_page_has(fleet, osrm):
    db, _ = fleet
    before = db.value("SELECT get_device_page('bus', tail => true)")
    process_all(db)
    late = drive(osrm, recent_window(), seconds=600)[7]
    insert(db, "bus", [(late[0], late[1], late[2] + timedelta(seconds=2))])
    process_all(db)
    changes = db.value("SELECT get_page_changes('-infinity')")
    after = db.value("SELECT get_device_page('bus')")
    assert after["paths"] != before["paths"]
    code = (f"{block('client.js')}; console.log(JSON.stringify(apply({json.dumps(before['paths'])},"
            f" {json.dumps(changes)}, 'bus')))")
    assert in_node(code) == after["paths"]
