"""A clean Debian in a folder, for what must be tried from nothing: no Rust, no compiler, no PostgreSQL.

Made by debootstrap once a suite, under target/roots; each root in use lies over that as an overlay, and is gone
afterwards. Needs root. What runs in it shares nothing with this machine but its network and the certificates that
it trusts, and ends with the command that started it.
"""

import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOTS = ROOT / "target/roots"
_CERTIFICATES = Path("/usr/local/share/ca-certificates")
_ENTER = """
    set -e
    cd "$1"
    mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" merged
    for folder in $3; do
        mkdir -p "merged${folder#*:}"
        mount --bind "${folder%%:*}" "merged${folder#*:}"
    done
    mount -t proc proc merged/proc
    ip link set lo up
    mount --rbind /dev merged/dev
    mount -t tmpfs shm merged/dev/shm
    cp --dereference /etc/resolv.conf /etc/hosts merged/etc/
    exec chroot merged /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \\
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash -c "$4"
"""


def _base(suite):
    """The untouched installation of a suite, made when it is not there yet."""
    base = ROOTS / suite
    if base.exists():
        return base
    ROOTS.mkdir(parents=True, exist_ok=True)
    new = ROOTS / f"{suite}.new"
    shutil.rmtree(new, ignore_errors=True)
    known = Path("/usr/share/debootstrap/scripts", suite).exists()
    # All of Debian's suites are made in the same way; an older debootstrap need not know the name.
    subprocess.run(["debootstrap", "--variant=minbase", suite, new, "", *([] if known else ["sid"])],
                   check=True, stdout=subprocess.DEVNULL)
    _add_updates(new / "etc/apt/sources.list", suite)
    shutil.copytree(_CERTIFICATES, new / _CERTIFICATES.relative_to("/"), dirs_exist_ok=True)
    # Packages are asked for as this machine does: its proxy, and whether an old list will do.
    settings = subprocess.run(["apt-config", "dump", "Acquire"], check=True, capture_output=True, text=True).stdout
    ours = re.findall(r"^Acquire::(?:https?|Check-)\S* .*\n", settings, re.MULTILINE)
    (new / "etc/apt/apt.conf.d/90machine").write_text("".join(ours))
    # Installing a service does not start it, as in an image.
    policy = new / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    new.rename(base)
    return base


def _add_updates(sources, suite):
    """The lists that an installer leaves: with updates and security, which debootstrap does not add."""
    main = sources.read_text()
    mirror = re.match(r"deb (\S+)", main)[1]
    sources.write_text(f"{main}deb {mirror} {suite}-updates main\ndeb {mirror}-security {suite}-security main\n")


@contextmanager
def sources(name):
    """Folders for a root: at /src a copy of this checkout, whose target folder is kept under target/roots for the
    next time; crates that this machine has fetched already."""
    built = ROOTS / f"built-{name}"
    registry = Path.home() / ".cargo/registry"
    for folder in (built, registry):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sources-", dir=ROOTS) as place:
        Path(place).chmod(0o755)
        _copy_sources(Path(place))
        yield {place: "/src", built: "/src/target", registry: "/root/.cargo/registry"}


def _copy_sources(place):
    """The files of this checkout that git knows or would know, without anything that was built."""
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                           cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)


class DebianRoot:
    """Use as a context manager. `folders` maps folders of this machine to where they are in the root."""

    def __init__(self, suite, folders=None):
        self.suite = suite
        self.folders = folders or {}
        self.place = None

    def __enter__(self):
        base = _base(self.suite)
        self.place = Path(tempfile.mkdtemp(prefix=f"{self.suite}-", dir=ROOTS))
        self.place.chmod(0o755)
        for name in ("upper", "work", "merged"):
            (self.place / name).mkdir()
        self._base = base
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.place)

    def run(self, script, network=True, **options):
        """Runs a script of bash as root, in namespaces that end everything it has started with it. Without
        network it has a loopback interface of its own, where every port is free."""
        folders = " ".join(f"{here}:{there}" for here, there in self.folders.items())
        return subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"]),
             "bash", "-c", _ENTER, "enter", str(self.place), str(self._base), folders, script],
            text=True, **options,
        )
