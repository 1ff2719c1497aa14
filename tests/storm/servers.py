"""What storms and soaks need around them, and how they say what is wrong."""

from contextlib import contextmanager

from harness.cluster import Cluster
from harness.database import Database
from harness.memory import clusters_in_memory
from harness.osrm import Osrm

from .faults import Faults

TEMPLATE = "with_osrm_matcher"
SHOWN = 10  # differences


@contextmanager
def servers(name):
    """A cluster, the name of a database in it with the extension, an OSRM that may be killed, a proxy that fails."""
    with clusters_in_memory(), Osrm(name=f"osrm-{name}") as osrm, Faults(osrm) as faults, \
            Cluster(name, conf={"osrm_matcher.osrm_url": osrm.url, "fsync": "off"}) as cluster:
        cluster.create_database(TEMPLATE)
        template = Database(cluster, TEMPLATE)
        template.rows("CREATE EXTENSION osrm_matcher")
        template.disconnect()
        yield cluster, TEMPLATE, osrm, faults


def show(wrong):
    for line in wrong[:SHOWN]:
        print(f"wrong: {line}", flush=True)
    if len(wrong) > SHOWN:
        print(f"wrong: and {len(wrong) - SHOWN} things more", flush=True)
