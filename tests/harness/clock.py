"""A clock that can be put forward: a server that was started with it believes what it says."""

import time
from pathlib import Path

# Debian's libfaketime; the variant for programs with threads.
_LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
_NOTICED = 1.05  # seconds after which a change is seen: the library looks once in each second of the real clock


class Clock:
    def __init__(self, path):
        self._path = Path(path)
        self._offset = 0
        self._say()

    @property
    def environment(self):
        if _LIBRARY is None:
            raise SystemExit("libfaketime is not installed: `make setup` for this program was not run")
        return {"LD_PRELOAD": str(_LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(self._path),
                "FAKETIME_CACHE_DURATION": "0", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def forward(self, seconds):
        """Returns once servers see it."""
        self._offset += seconds
        self._say()
        time.sleep(_NOTICED)

    def forward_to(self, moment):
        """To a moment, in seconds since 1970, unless it is over; returns once servers see it."""
        self.forward(max(moment - self.now() - _NOTICED, 0))

    def now(self):
        return time.time() + self._offset

    def _say(self):
        self._path.write_text(f"+{self._offset}")
        self._path.chmod(0o644)
