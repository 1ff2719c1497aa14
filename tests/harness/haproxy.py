"""haproxy, as Debian has it, with the configuration that the manual gives: its addresses alone are others."""

import os
import re
import ssl
import textwrap
from contextlib import contextmanager

from . import env
from .osrm import free_port
from .process import Process
from .wait import wait_for
from .watchers import read

PAGE = env.ROOT / "docs/scale-out.md"
PROGRAM = env.UNPACKED / "usr/sbin/haproxy"
LIBRARIES = env.UNPACKED / "usr/lib" / f"{os.uname().machine}-linux-gnu"


def documented():
    """The configuration, and the addresses in it: where haproxy listens, and those of its servers."""
    (text,) = re.findall(r"```haproxy\n(.*?)^ *```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    text = textwrap.dedent(text)
    (listens,) = re.findall(r"bind (\S+)", text)
    return text, listens, re.findall(r"^ *server \S+ (\S+)$", text, re.MULTILINE)


@contextmanager
def haproxy(folder, *servers, authority=None):
    """Runs it in front of servers until the block ends; gives its address: at https, where an authority is to sign it."""
    text, listens, given = documented()
    port = free_port()
    others = [f"127.0.0.1:{port}", *(f"127.0.0.1:{server.port}" for server in servers)]
    for address, other in zip([listens, *given], others, strict=True):
        text = text.replace(address, other)
    if authority:
        text = text.replace(f"bind {others[0]}", f"bind {others[0]} ssl crt {authority.sign()}")
    config = folder / "haproxy.cfg"
    config.write_text(text)
    program = Process([PROGRAM, "-db", "-f", config], f"haproxy-{os.getpid()}",
                      environment={"LD_LIBRARY_PATH": str(LIBRARIES)})
    url = f"{'https' if authority else 'http'}://127.0.0.1:{port}"
    trust = authority and ssl.create_default_context(cafile=authority.file)

    def answers():
        if not program.is_running():
            raise SystemExit(f"haproxy did not start:\n{program.log_tail()}")
        return read(f"{url}/nearest/v1/driving/24.94,60.17", trust)

    try:
        wait_for(answers, 30, f"haproxy to answer (log: {program.log_path})")
        yield url
    finally:
        program.stop()
