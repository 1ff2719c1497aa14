"""What a backend has left behind in the operating system: threads and connections."""

import os


def threads(pid):
    """Threads of a process; one is the process itself."""
    return len(os.listdir(f"/proc/{pid}/task"))


def tcp_connections(pid):
    """TCP connections that a process holds, as lines of /proc/net/tcp."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    lines = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as file:
            lines += [line for line in file.readlines()[1:] if line.split()[9] in inodes]
    return lines


def memory_kb(pid):
    """Memory that is the process's own: resident, without what it shares with others."""
    with open(f"/proc/{pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["RssAnon"].split()[0])
