"""The health check of OSRM in compose.yaml tells the truth: it is run here against a server of this machine."""

import json
import re
import subprocess

from harness import env
from harness.osrm import free_port


def says_healthy(port):
    (script,) = re.findall(r'test: \[CMD, bash, -c, (".*")\]', (env.ROOT / "compose.yaml").read_text())
    command = json.loads(script)
    assert "/5000;" in command
    return subprocess.run(["bash", "-c", command.replace("/5000;", f"/{port};")], stderr=subprocess.DEVNULL,
                          timeout=60).returncode == 0


def test_a_server_that_answers_is_healthy(osrm):
    assert says_healthy(osrm.port)


def test_nobody_at_the_port_is_not(osrm):
    assert not says_healthy(free_port())
