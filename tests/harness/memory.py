"""A folder in memory for clusters that come and go with the program that makes them.

A database is some 370 files, and a suite makes a thousand of them. An ext4 without a journal, as virtual machines
have it, looks through all that was deleted in the last half minute before it creates a file: making a database then
costs ten times what it costs in memory, more than most tests do with it.
"""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from . import env

_MEMORY = Path("/dev/shm")
_NAME = "osrm_matcher."
_ENOUGH = 6 << 30  # bytes that have to be free; the whole suite uses less than 2 GB


@contextmanager
def clusters_in_memory():
    """Clusters that are made within the `with` block lie in memory, where there is enough of it."""
    _remove_left_behind()
    if _free() < _ENOUGH:
        yield
        return
    usual, env.CLUSTERS = env.CLUSTERS, _MEMORY / f"{_NAME}{os.getpid()}"
    env.CLUSTERS.mkdir(mode=0o755)
    try:
        yield
    finally:
        shutil.rmtree(env.CLUSTERS, ignore_errors=True)
        env.CLUSTERS = usual


def _free():
    """What the folder may grow to, and what the machine can give it."""
    if not _MEMORY.is_dir():
        return 0
    folder = os.statvfs(_MEMORY)
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    available = next(int(line[1]) << 10 for line in lines if line[0] == "MemAvailable:")
    return min(folder.f_bavail * folder.f_frsize, available)


def _remove_left_behind():
    """Folders of processes that were killed before they could remove them."""
    for folder in _MEMORY.glob(f"{_NAME}*"):
        if not Path("/proc", folder.name.removeprefix(_NAME)).exists():
            shutil.rmtree(folder, ignore_errors=True)
