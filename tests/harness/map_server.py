"""Serves the map page and what it asks for, at addresses as PostgREST has them.

In production PostgREST does this, or the application's own back end with a line for each function (docs/map.md).
Here it is done by a few lines over the same functions, called by a role that may only read.
"""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg2
from psycopg2 import sql

from . import streets

DOCUMENTS = {"get_fleet_page", "get_device_page", "get_device_page_between", "get_page_changes"}
ROWS = {"get_device_positions", "get_device_stops", "get_device_fixes"}
CREDIT = "\N{COPYRIGHT SIGN} OpenStreetMap contributors"


class MapServer:
    """Use as a context manager. The port stays the same when it is stopped and started again."""

    def __init__(self, database, user="postgres", port=0):
        self.database = database
        self.user = user
        self.port = port
        self._idle = queue.LifoQueue()
        self._server = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def address(self, device=None, **options):
        """Of the page, with the streets of the demo under it."""
        options = {"streets": "streets.json", "attribution": CREDIT, **options}
        return f"{self.url}?{urlencode(options)}" + (f"#{urlencode({'device': device})}" if device else "")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        handler = type("Handler", (_Handler,), {"map": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.close_all()
            self._server = None
        while not self._idle.empty():
            self._idle.get().close()

    def value(self, query, arguments):
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self.database.connect(user=self.user)
            connection.set_session(readonly=True)
        with connection.cursor() as cursor:
            cursor.execute(query, arguments)
            ((value,),) = cursor.fetchall()
        self._idle.put(connection)
        return value

    def call(self, name, arguments):
        """The answer of a function, as the text of a JSON document."""
        answer = sql.SQL("f::text" if name in DOCUMENTS else "coalesce(json_agg(f), '[]')::text")
        named = sql.SQL(", ").join(sql.SQL("{} => %s").format(sql.Identifier(key)) for key in arguments)
        query = sql.SQL("SELECT {} FROM {}({}) f").format(answer, sql.Identifier(name), named)
        return self.value(query, list(arguments.values()))


class _Server(ThreadingHTTPServer):
    """Ends its open connections, too: a browser would go on to ask over them."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *arguments):
        self._open = set()
        super().__init__(*arguments)

    def get_request(self):
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request):
        self._open.discard(request)
        super().shutdown_request(request)

    def close_all(self):
        for connection in list(self._open):
            self.shutdown_request(connection)

    def handle_error(self, request, client_address):
        """A browser that goes away in the middle of an answer is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    map = None

    def do_GET(self):
        address = urlsplit(self.path)
        arguments = dict(parse_qsl(address.query, keep_blank_values=True))
        if address.path == "/":
            self._send(200, "text/html", self.map.value("SELECT get_map_page()", ()))
        elif address.path == "/streets.json":
            self._send(200, "application/geo+json", streets.geojson())
        else:
            self._send(*self._call(address.path.removeprefix("/rpc/"), arguments))

    def _call(self, name, arguments):
        kind = "application/json"
        if name not in DOCUMENTS | ROWS:
            return 404, kind, json.dumps({"message": f"there is no function {name}"})
        try:
            return 200, kind, self.map.call(name, arguments)
        except psycopg2.OperationalError as error:
            return 503, kind, json.dumps({"message": str(error).strip()})
        except psycopg2.Error as error:
            return 400, kind, json.dumps({"message": error.diag.message_primary, "hint": error.diag.message_hint})

    def _send(self, status, kind, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """The demo has its own words."""
