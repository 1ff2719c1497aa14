"""Plays compose.yaml where there is no engine: what its services run, as the users they run as, with their health
checks. Up, a path by the schedule, down, up again with all that was there; then OSRM goes, and then the schedule.

usage: compose.py MAJOR OSRM_FOLDER <DEPLOYMENT, as root in a Debian with what the image has. DEPLOYMENT is the JSON of
`docker-compose config`. What the images bring along is done here as they do it: OSRM's programs and profiles, and the
entry point of postgres, which makes a cluster once, as postgres, and lets it serve its socket only until that is done.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from harness.wait import wait_for  # noqa: E402

PATIENCE = 120  # seconds; the schedule is of every minute


def text_of(words):
    """A list of words, in which Compose has doubled each dollar."""
    return [word.replace("$$", "$") for word in words]


class Deployment:
    def __init__(self, description):
        self.services = description["services"]
        self.first_sql = description["configs"]["schedule"]["content"].replace("$$", "$")
        self.data = Path(self.services["db"]["environment"]["PGDATA"])
        self.running = {}

    def _start(self, name, command, user):
        with open(f"/tmp/{name}.log", "ab") as log:
            self.running[name] = subprocess.Popen(
                command, user=user, group=user, extra_groups=[], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _stop(self, name, number=signal.SIGTERM):
        process = self.running.pop(name)
        process.send_signal(number)
        process.wait(timeout=PATIENCE)

    def _as_postgres(self, *command, **options):
        return subprocess.run(command, user="postgres", group="postgres", extra_groups=[], check=True, **options)

    def ask(self, sql, *options, database="fleet"):
        """Through the socket, which no health check uses."""
        return self._as_postgres(
            "psql", "--no-psqlrc", "-qtA", "--set=ON_ERROR_STOP=1", "--dbname", database, *options, input=sql,
            stdout=subprocess.PIPE, text=True).stdout.strip()

    def _first_start(self):
        self.data.parent.mkdir(exist_ok=True)
        shutil.chown(self.data.parent, "postgres", "postgres")
        self._as_postgres("initdb", "--pgdata", self.data, "--auth=trust", stdout=subprocess.DEVNULL)
        self._serve_database("-c", "listen_addresses=")
        wait_for(self._takes_connections, PATIENCE, "the new cluster")
        assert not self.is_healthy("db"), "healthy before the first start is over"
        self.ask("CREATE DATABASE fleet", database="postgres")
        self.ask(self.first_sql)
        self._stop("db", signal.SIGINT)

    def _takes_connections(self):
        return subprocess.run(["pg_isready", "--quiet"]).returncode == 0

    def _serve_database(self, *options):
        os.environ["PGDATA"] = str(self.data)
        self._start("db", [*text_of(self.services["db"]["command"]), *options], "postgres")

    def start_osrm(self):
        graph, osrm = self.services["graph"], self.services["osrm"]
        subprocess.run(text_of(graph["entrypoint"] + graph["command"]), check=True, stdout=subprocess.DEVNULL)
        self._start("osrm", text_of(osrm["command"]), int(osrm["user"].split(":")[0]))

    def stop_osrm(self):
        self._stop("osrm")

    def up(self):
        self.start_osrm()
        if not self.data.exists():
            self._first_start()
        self._serve_database()
        for name in ("osrm", "db"):
            wait_for(lambda: self.is_healthy(name), PATIENCE, f"{name} to be healthy", pause=1)

    def down(self):
        self._stop("db", signal.SIGINT)
        self._stop("osrm")

    def is_healthy(self, name):
        kind, *words = text_of(self.services[name]["healthcheck"]["test"])
        command = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def drive_to_a_path(deployment, vehicle):
    """Points go in as a fleet's do, and the schedule does the rest."""
    deployment.ask((HERE / "drive.sql").read_text(), f"--set=vehicle={vehicle}")
    wait_for(lambda: deployment.ask(f"SELECT match_status FROM get_device_paths('{vehicle}')") == "matched",
             PATIENCE, f"a path of {vehicle} by the schedule", pause=1)


def install_like_the_images(major, osrm_folder):
    """What is where in the images, of what the services use."""
    engine = Path(osrm_folder) / "osrm-bindings/osrm"
    os.environ["PATH"] = f"/usr/lib/postgresql/{major}/bin:{engine}/bin:{os.environ['PATH']}"
    for profile in (engine / "share/profiles").iterdir():
        Path("/opt", profile.name).symlink_to(profile)
    shutil.copy(Path(osrm_folder) / "graph/helsinki.osm.pbf", "/map.osm.pbf")
    Path("/graph").mkdir()
    with open("/etc/hosts", "a") as hosts:
        hosts.write("127.0.0.1 osrm\n")
    Path("/run/postgresql").mkdir(exist_ok=True)
    shutil.chown("/run/postgresql", "postgres", "postgres")


def main(major, osrm_folder):
    install_like_the_images(major, osrm_folder)
    deployment = Deployment(json.load(sys.stdin))
    assert not deployment.is_healthy("osrm") and not deployment.is_healthy("db"), "healthy before anything runs"
    deployment.up()
    drive_to_a_path(deployment, "van")
    made = Path("/graph/complete").stat().st_mtime
    stored = deployment.ask("SELECT * FROM cached_polylines")
    deployment.down()
    assert not deployment.is_healthy("osrm") and not deployment.is_healthy("db"), "healthy after all has ended"

    deployment.up()
    assert Path("/graph/complete").stat().st_mtime == made, "the graph was made again"
    assert deployment.ask("SELECT * FROM cached_polylines") == stored, "the paths are not what they were"
    drive_to_a_path(deployment, "bus")

    deployment.stop_osrm()
    assert not deployment.is_healthy("osrm"), "OSRM is away, and healthy"
    assert deployment.is_healthy("db"), "points wait while OSRM is away, but the database is not healthy"
    deployment.start_osrm()
    deployment.ask("SELECT cron.alter_job(jobid, active => false) FROM cron.job")
    assert not deployment.is_healthy("db"), "the schedule is off, and the database healthy"
    deployment.down()
    print(f"PostgreSQL {major}: up, a path by the schedule, down and up with all that was there")


if __name__ == "__main__":
    main(*sys.argv[1:])
