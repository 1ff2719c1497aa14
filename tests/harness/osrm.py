"""A private osrm-routed on a free port of the loopback interface, with the Helsinki map."""

import json
import signal
import socket
import urllib.error
import urllib.request

from . import env
from .process import Process
from .wait import wait_for


# Straight to the loopback interface, whatever proxy the environment names.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Osrm:
    """Use as a context manager. The port stays the same when it is stopped and started again."""

    def __init__(self, graph=None, threads=2, name="osrm", port=None, **options):
        """`options` go to osrm-routed: max_matching_size=50 becomes --max-matching-size 50."""
        self.graph = graph or env.OSRM_GRAPH
        self.threads = threads
        self.name = name
        self.options = options
        self.process = None
        self.port = port or free_port()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, timeout=60):
        options = [word for name, value in self.options.items()
                   for word in ("--" + name.replace("_", "-"), value)]
        self.process = Process(
            [env.OSRM_BIN / "osrm-routed", "--algorithm", "mld", "--ip", "127.0.0.1",
             "--port", self.port, "--threads", self.threads, *options, self.graph],
            self.name,
        )
        wait_for(self._answers, timeout, f"osrm-routed to start (log: {self.process.log_path})")

    def _answers(self):
        if not self.process.is_running():
            raise SystemExit(f"osrm-routed did not start:\n{self.process.log_tail()}")
        # Every answer will do: a map other than Helsinki's has no road at this place.
        socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        return True

    def stop(self, number=signal.SIGTERM):
        if self.process is not None:
            self.process.stop(number)
            self.process = None

    def kill(self):
        """kill -9, as a crash would."""
        self.stop(signal.SIGKILL)

    def get(self, path, timeout=30):
        """The JSON answer to a request such as /route/v1/driving/24.93,60.17;24.95,60.18.

        A refusal is an answer, too: HTTP 400 with a `code` other than Ok.
        """
        try:
            with _opener.open(self.url + path, timeout=timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            return json.load(refusal)
