"""A server in OSRM's place that fails in every way that the real one cannot be brought to.

What it is not told to spoil it hands on to the real OSRM. It listens on a free port of the loopback
interface, runs on threads of the test's own process, and ends with it.
"""

import http.client
import itertools
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections import deque

from .wait import wait_for

GIGABYTE = 1 << 30


class FaultServer:
    """Use as a context manager. `fault` names what is done to every request (a method of `_Handler`),
    `poison_fault` what is done to those with a coordinate for which `poison(lon, lat)` is true."""

    def __init__(self, upstream=None, fault="forward", certificate=None):
        self.upstream = upstream
        self.fault = fault
        self.poison = lambda lon, lat: False
        self.poison_fault = "hang"
        self.delay = 0.2  # seconds, of "slow"
        self.close_after = None  # requests a connection
        self.close_idle = None  # seconds
        self.close_in_the_middle_of = None  # every n-th request
        self.retry_after = None  # seconds, of "error_429"
        self.longest = None  # bytes of an address; a longer one is refused
        self.elsewhere = None  # URL that "redirect" names
        self.requests = deque(maxlen=100_000)  # targets, with what was done to them
        self.bytes_sent = 0
        self.connections_made = 0
        self.most_at_once = 0
        self._at_work = 0
        self._count = itertools.count(1)
        self._lock = threading.Lock()
        self._open = set()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.faults = self
        self._server.tls = None
        if certificate is not None:
            self._server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._server.tls.load_cert_chain(*certificate)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self):
        return self._server.server_address[1]

    @property
    def url(self):
        return f"{'https' if self._server.tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._open):
            _shut(connection)
        wait_for(lambda: not self._open, 10, "the fault server's connections to end")

    @property
    def open_connections(self):
        return len(self._open)

    def matches(self, fault=None):
        """Requests to /match so far (those that were treated so, if a fault is named), probes left out."""
        return [target for target, done in list(self.requests)
                if target.startswith("/match/") and not is_probe(target) and fault in (None, done)]

    def probes(self):
        return [target for target, _ in list(self.requests) if is_probe(target)]

    def wait_for_matches(self, count, timeout=20):
        wait_for(lambda: len(self.matches()) >= count, timeout, f"{count} match requests")

    def fault_for(self, target):
        if self.longest is not None and len(target) > self.longest:
            return "error_414"
        if any(self.poison(lon, lat) for lon, lat in coordinates(target)):
            return self.poison_fault
        return self.fault

    def begin(self):
        with self._lock:
            self._at_work += 1
            self.most_at_once = max(self.most_at_once, self._at_work)

    def end(self):
        with self._lock:
            self._at_work -= 1


def coordinates(target):
    """The places that a request asks about, as (longitude, latitude)."""
    place = target.split("?")[0].rsplit("/", 1)[-1]
    return [tuple(map(float, pair.split(","))) for pair in place.split(";") if "," in pair]


def is_probe(target):
    """Whether the request is a sign of life that is asked for at null island."""
    return all(abs(lon) < 1 and abs(lat) < 1 for lon, lat in coordinates(target))


def self_signed_certificate(folder):
    """Certificate and key that no authority has signed, as paths."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True)
    return certificate, key


def refusing_url():
    """An address where nobody listens, and where nobody will while the socket that comes with it lives."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return f"http://127.0.0.1:{holder.getsockname()[1]}", holder


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    block_on_close = False

    def handle_error(self, request, client_address):
        pass  # a client that hangs up is what the tests are about


class _Handler(socketserver.BaseRequestHandler):
    """Serves one connection. Each fault returns whether the connection stays open."""

    def setup(self):
        self.faults = self.server.faults
        self.faults._open.add(self.request)
        self.faults.connections_made += 1
        self.upstream = None
        if self.server.tls is not None:
            plain = self.request
            try:
                self.request = self.server.tls.wrap_socket(plain, server_side=True)
            finally:
                self.faults._open.discard(plain)
            self.faults._open.add(self.request)
        self.reader = self.request.makefile("rb")

    def handle(self):
        served = 0
        while True:
            # A new connection is given its time: on a busy machine a first request comes late, too.
            self.request.settimeout(self.faults.close_idle if served else None)
            try:
                target = self._read_request()
            except OSError:
                return
            if target is None:
                return
            self.request.settimeout(None)
            fault = self.faults.fault_for(target)
            every = self.faults.close_in_the_middle_of
            # What is asked for again is answered: a second break would be a failure by right.
            if every and next(self.faults._count) % every == 0 and (target, "half_body") not in self.faults.requests:
                fault = "half_body"
            self.faults.requests.append((target, fault))
            self.faults.begin()
            try:
                stays = getattr(self, fault)(target)
            except OSError:
                return
            finally:
                self.faults.end()
            served += 1
            if not stays or served == self.faults.close_after:
                return

    def finish(self):
        self.faults._open.discard(self.request)
        self.reader.close()
        if self.upstream is not None:
            self.upstream.close()
        _shut(self.request)

    def _read_request(self):
        first = self.reader.readline(1 << 20)
        if not first:
            return None
        while self.reader.readline(1 << 16) not in (b"\r\n", b"\n", b""):
            pass
        return first.split()[1].decode()

    def _send(self, data):
        self.request.sendall(data)
        self.faults.bytes_sent += len(data)

    def _answer(self, status, body, kind="application/json", headers=""):
        self._send(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{headers}"
                   f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return True

    def _ask_upstream(self, target):
        for _ in range(2):
            if self.upstream is None:
                self.upstream = http.client.HTTPConnection(
                    "127.0.0.1", self.faults.upstream.port, timeout=30)
            try:
                self.upstream.request("GET", target)
                answer = self.upstream.getresponse()
                return f"{answer.status} {answer.reason}", answer.read()
            except (http.client.HTTPException, OSError):
                self.upstream.close()
                self.upstream = None
        return "503 Service Unavailable", b"{}"

    # -- what can be done to a request -------------------------------------------------------

    def forward(self, target):
        return self._answer(*self._ask_upstream(target))

    def slow(self, target):
        time.sleep(self.faults.delay)
        return self.forward(target)

    def hang(self, target):
        """Never answers; the connection ends when the client has had enough."""
        self.request.recv(1)
        return False

    def trickle(self, target):
        """A byte a second of an answer that would be right."""
        self._send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
        while True:
            self._send(b" ")
            self.request.settimeout(1)
            try:
                if not self.request.recv(1):
                    return False
            except TimeoutError:
                pass

    def error_500(self, target):
        return self._answer("500 Internal Server Error", b'{"message":"it broke"}')

    def error_502(self, target):
        page = b"<html>\r\n<head><title>502 Bad Gateway</title></head></html>"
        return self._answer("502 Bad Gateway", page, "text/html")

    def error_414(self, target):
        return self._answer("414 URI Too Long", b"<html></html>", "text/html")

    def error_429(self, target):
        after = self.faults.retry_after
        header = f"Retry-After: {after}\r\n" if after is not None else ""
        return self._answer("429 Too Many Requests", b"slow down", "text/plain", header)

    def half_body(self, target):
        """Promises more than it sends."""
        status, body = self._ask_upstream(target) if self.faults.upstream else ("200 OK", b'{"code":"Ok"}')
        self._send(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:len(body) // 2])
        return False

    def other_json(self, target):
        return self._answer("200 OK", b'{"status":"fine","items":[1,2,3]}')

    def other_match(self, target):
        """OSRM's own form, and nonsense in it."""
        return self._answer("200 OK", b'{"code":"Ok","matchings":[],"tracepoints":[null]}')

    def gigabyte(self, target):
        block = b" " * (1 << 16)
        self._send(f"HTTP/1.1 200 OK\r\nContent-Length: {GIGABYTE}\r\n\r\n".encode())
        for _ in range(GIGABYTE // len(block)):
            self._send(block)
        return True

    def redirect(self, target):
        return self._answer("302 Found", b"", headers=f"Location: {self.faults.elsewhere}{target}\r\n")


def _shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()
