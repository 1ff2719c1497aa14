"""A private PostgreSQL cluster: made, started, broken and stopped by the program that uses it.

It listens on a Unix socket in a folder that only its owner can enter, so no port is taken and nobody
else on the machine gets in.
"""

import shutil
import signal
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import psycopg2
import psycopg2.extensions
from psycopg2 import sql

from . import env
from .process import Process, as_user
from .wait import wait_for

_STOP_SIGNALS = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
    "kill": signal.SIGKILL,
}
_PORT = 5432  # names the socket file, nothing more
# What the caller has set (PGHOST, RUST_BACKTRACE, a proxy, ...) shall not change what a server does.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


class Cluster:
    """Use as a context manager: on entering it is made (unless not `fresh`: then it is the one that is
    there) and started, on leaving it is stopped and (unless `keep`) removed. pg_cron is preloaded where it
    is installed, unless `preload` says otherwise. The server goes by the `clock`, if there is one."""

    def __init__(self, name, conf=None, preload=None, fresh=True, keep=False, clock=None):
        self.name = name
        self.fresh = fresh
        self.keep = keep
        self._clock = clock
        self.data = env.CLUSTERS / name
        self.process = None
        self._user = env.cluster_user()
        self._sockets = None
        if preload is None:
            preload = [name for name in ("pg_cron",) if env.has_extension(name)]
        self._conf = {
            "listen_addresses": "",
            "shared_preload_libraries": ",".join(preload),
            "max_connections": 60,
            "logging_collector": "off",
            "log_line_prefix": "%m [%p] %q%d ",
            "timezone": "UTC",
            **({"cron.database_name": "postgres"} if "pg_cron" in preload else {}),
            **(conf or {}),
        }

    def __enter__(self):
        try:
            if self.fresh:
                self.init()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def init(self):
        """Makes a new, empty cluster in the place of whatever was there."""
        self._refuse_if_running()
        self.remove()
        env.CLUSTERS.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(mode=0o700)
        self._give(self.data)
        self.run("initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "--no-sync",
                 "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions", connected=False)

    def _refuse_if_running(self):
        pid_file = self.data / "postmaster.pid"
        if pid_file.exists():
            pid = pid_file.read_text().split()[0]
            program = Path(f"/proc/{pid}/exe")
            if program.exists() and program.resolve().parent == env.PG_BIN:
                self.keep = True
                raise SystemExit(f"cluster {self.name} is running (process {pid}): is another make at work here?")

    def configure(self, **settings):
        """Adds settings for the next start or reload. Dots in names are written as two underscores."""
        self._conf.update({name.replace("__", "."): value for name, value in settings.items()})
        self._write_conf()

    def _write_conf(self):
        lines = {**self._conf, "unix_socket_directories": self.socket_dir, "port": _PORT}
        if "cron.database_name" in lines:
            # pg_cron connects like a client would; without a TCP port, that is through the socket.
            lines.setdefault("cron.host", self.socket_dir)
        text = "".join(
            "{} = '{}'\n".format(name, str(value).replace("'", "''")) for name, value in lines.items()
        )
        path = self.data / "harness.conf"
        path.write_text(text)
        self._give(path)
        main = self.data / "postgresql.conf"
        include = "include 'harness.conf'\n"
        if include not in main.read_text():
            with main.open("a") as file:
                file.write(include)

    def start(self, timeout=60):
        if self._sockets is None:
            # Not under target/: the name of a socket may have no more than 107 bytes.
            self._sockets = tempfile.TemporaryDirectory(prefix="osrm_matcher.")
            self._give(Path(self._sockets.name))
        self._write_conf()
        self.process = Process(
            [env.PG_BIN / "postgres", "-D", self.data],
            f"postgres-{self.name}",
            user=self._user,
            death_signal=signal.SIGQUIT,
            environment={**_ENVIRONMENT, **(self._clock.environment if self._clock else {})},
        )
        wait_for(self._answers, timeout, f"cluster {self.name} to start (log: {self.process.log_path})")

    def _answers(self):
        if not self.process.is_running():
            raise SystemExit(f"cluster {self.name} did not start:\n{self.process.log_tail()}")
        self.connect().close()
        return True

    def stop(self, mode="fast", timeout=60):
        """mode: smart, fast, immediate, or kill (SIGKILL to the postmaster alone, as the kernel would)."""
        if self.process is not None:
            self.process.stop(_STOP_SIGNALS[mode], timeout)
            self.process = None

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def reload(self):
        with closing(self.connect()) as connection:
            connection.cursor().execute("SELECT pg_reload_conf()")

    def close(self):
        self.stop()
        if self._sockets is not None:
            self._sockets.cleanup()
            self._sockets = None
        if not self.keep:
            self.remove()

    def remove(self):
        shutil.rmtree(self.data, ignore_errors=True)

    @property
    def socket_dir(self):
        return self._sockets.name

    def connect(self, dbname="postgres", user="postgres", autocommit=True, **options):
        connection = psycopg2.connect(
            host=self.socket_dir, port=_PORT, dbname=dbname, user=user, connect_timeout=10, **options
        )
        connection.autocommit = autocommit
        return connection

    def create_database(self, name, template="template1"):
        """Makes the database anew; whoever is still connected to an old one is thrown out."""
        with closing(self.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)))

    def drop_database(self, name):
        with closing(self.connect()) as connection:
            connection.cursor().execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def run(self, program, *arguments, connected=True, check=True, **options):
        """Runs a program of PostgreSQL (psql, pg_dump, ...) as the cluster's user and returns its result."""
        place = {"PGHOST": self.socket_dir, "PGPORT": str(_PORT), "PGUSER": "postgres"} if connected else {}
        result = subprocess.run(
            [str(word) for word in (env.PG_BIN / program, *arguments)],
            env={**_ENVIRONMENT, **place},
            cwd="/", capture_output=True, text=True, **as_user(self._user), **options,
        )
        if check and result.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{result.stdout}{result.stderr}")
        return result

    def psql_command(self, dbname):
        """What to run to look into a database of this cluster."""
        return [str(env.PG_BIN / "psql"), "-h", self.socket_dir, "-U", "postgres", dbname]

    def _give(self, path):
        if self._user is not None:
            shutil.chown(path, self._user.pw_uid, self._user.pw_gid)
