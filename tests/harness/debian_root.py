"""A clean Debian in a folder, for what must be tried from nothing: no Rust, no compiler, no PostgreSQL.

Made by debootstrap once a suite, under target/roots; each root in use lies over that as an overlay, and is gone
afterwards. Needs root. What runs in it shares nothing with this machine but its network and the certificates that
it trusts, and ends with the command that started it.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOTS = Path(__file__).resolve().parents[2] / "target/roots"
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
    new.rename(base)
    return base


def _add_updates(sources, suite):
    """The lists that an installer leaves: with updates and security, which debootstrap does not add."""
    main = sources.read_text()
    mirror = re.match(r"deb (\S+)", main)[1]
    sources.write_text(f"{main}deb {mirror} {suite}-updates main\ndeb {mirror}-security {suite}-security main\n")


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

    def run(self, script, check=True, **options):
        """Runs a script of bash as root, in namespaces that end everything it has started with it."""
        folders = " ".join(f"{here}:{there}" for here, there in self.folders.items())
        return subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", _ENTER, "enter",
             str(self.place), str(self._base), folders, script],
            check=check, text=True, **options,
        )
