"""PgBouncer, as Debian has it, in front of a cluster."""

import os
from contextlib import closing, contextmanager

import psycopg2

from . import env
from .osrm import free_port
from .process import Process
from .wait import wait_for

PROGRAM = env.UNPACKED / "usr/sbin/pgbouncer"
LIBRARIES = env.UNPACKED / "usr/lib" / f"{os.uname().machine}-linux-gnu"


@contextmanager
def pgbouncer(cluster, mode):
    """Runs it until the block ends; gives a function that connects to a database through it. All share one connection."""
    port = free_port()
    # It runs as the cluster's user, for it refuses root: what it reads lies where that gets to.
    users, config = (cluster.data / name for name in ("pgbouncer-users", "pgbouncer.ini"))
    users.write_text('"postgres" ""\n')
    config.write_text(f"""
        [databases]
        * = host={cluster.socket_dir}
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        unix_socket_dir =
        auth_type = trust
        auth_file = {users}
        pool_mode = {mode}
        default_pool_size = 1
    """)
    for file in (users, config):
        cluster._give(file)
    program = Process([PROGRAM, config], f"pgbouncer-{os.getpid()}", user=env.cluster_user(),
                      environment={"LD_LIBRARY_PATH": str(LIBRARIES)})

    def connect(dbname):
        connection = psycopg2.connect(host="127.0.0.1", port=port, dbname=dbname, user="postgres", connect_timeout=10)
        connection.autocommit = True
        return connection

    def answers():
        if not program.is_running():
            raise SystemExit(f"pgbouncer did not start:\n{program.log_tail()}")
        try:
            with closing(connect("postgres")):
                return True
        except psycopg2.OperationalError:
            return False

    try:
        wait_for(answers, 30, f"pgbouncer to answer (log: {program.log_path})")
        yield connect
    finally:
        program.stop()
