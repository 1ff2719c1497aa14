"""`make demo`: twenty vehicles drive over Helsinki while pg_cron has their points matched each minute.

A map of it is served meanwhile. Ends by itself and stops what it started; `make demo DEMO_STAY=1` lets the vehicles
drive on until Ctrl-C.
"""

import os
import shlex
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import env  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.map_server import MapServer  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402

import show  # noqa: E402
from traffic import Traffic  # noqa: E402
from vehicles import make_fleet  # noqa: E402
from watch import Watch  # noqa: E402

DATABASE = "fleet"
DRIVE_SECONDS = 200
STAY_SECONDS = 3600  # so long do they drive in all where the demo stays
READER = "map_reader"
WORST_DELAY_ALLOWED = 120
FIRST_LOOK = 4  # seconds of driving, after which a run by hand shows the first lines: the schedule's is up to a minute away
PATIENCE = 180  # seconds without a newly readable point: then something must be wrong


def set_up(cluster, osrm):
    """What a user does once, in these words."""
    cluster.create_database(DATABASE)
    cluster.configure(cron__database_name=DATABASE)
    cluster.restart()  # pg_cron reads that name at the start only
    database = Database(cluster, DATABASE)
    for statement in (
        f"ALTER DATABASE {DATABASE} SET osrm_matcher.osrm_url = '{osrm.url}'",
        "CREATE EXTENSION pg_cron",
        "CREATE EXTENSION osrm_matcher",
        "SELECT schedule_processing()",
        f"CREATE ROLE {READER} LOGIN",
        f"SELECT grant_reader('{READER}')",
    ):
        show.statement(statement)
        database.rows(statement)
        database.disconnect()
    return database


def drive(database, fleet):
    """Lets the fleet drive in real time, and shows what the schedule does, until all is processed."""
    watch = Watch(database)
    traffic = Traffic(database, fleet, DRIVE_SECONDS)
    traffic.start()
    try:
        time.sleep(FIRST_LOOK)
        show.statement("CALL process_pending()")
        database.rows("CALL process_pending()")
        while traffic.is_alive() or watch.waiting:
            time.sleep(0.5)
            watch.look()
            for run in watch.new_runs():
                show.run(run)
            failures = watch.new_failures()
            for failure in failures:
                show.problem(f"pg_cron says: {failure}")
            if failures or watch.seconds_without_progress() > PATIENCE:
                break
            show.status(watch, traffic.is_alive())
    finally:
        traffic.stop()
    return watch


def verdict(fleet, watch, lines):
    """The problems that there are; none is what a demo should end with."""
    with_paths = {line["device"] for line in lines if line["paths"]}
    problems = [f"{vehicle.name} moved, and has no path"
                for vehicle in fleet if vehicle.moves and vehicle.name not in with_paths]
    if watch.waiting:
        problems.append("some points never became readable")
    if watch.worst_delay >= WORST_DELAY_ALLOWED:
        problems.append(f"a point took {watch.worst_delay:.0f} s to become readable")
    return problems


def main():
    exit_on_signals()
    if not env.has_extension("pg_cron"):
        raise SystemExit(f"the demo needs pg_cron, which is not installed for PostgreSQL {env.PG_MAJOR}")
    stay = os.environ.get("DEMO_STAY", "") not in ("", "0")
    begin = time.monotonic()
    show.heading("A private PostgreSQL and a private OSRM with the map of Helsinki")
    with Osrm(name="osrm-demo") as osrm, Cluster("demo", keep=True) as cluster:
        database = set_up(cluster, osrm)
        psql = shlex.join(cluster.psql_command(DATABASE))
        fleet = make_fleet(osrm, STAY_SECONDS if stay else DRIVE_SECONDS)
        with MapServer(database, READER) as server:
            show.ready(time.monotonic() - begin, psql, osrm.url, server.address())

            show.heading(f"{len(fleet)} vehicles drive for {DRIVE_SECONDS} seconds; "
                         "pg_cron looks after them each minute")
            watch = drive(database, fleet)

            show.heading("The paths, as the map reads them")
            lines = show.paths(database, fleet)
            show.page(database, fleet[0].name)
            problems = verdict(fleet, watch, lines)
            show.outcome(watch, problems)
            if stay:
                show.staying(server.address(), psql)
                Traffic(database, fleet, STAY_SECONDS, begin=DRIVE_SECONDS).start()
                threading.Event().wait()
        show.farewell()
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SystemExit as end:
        if end.code in (130, 143):  # Ctrl-C, SIGTERM
            show.interrupted()
        raise
