"""The real OSRM behind a proxy that fails as it is told to: for so many requests, then in another way."""

import itertools
from contextlib import contextmanager

from harness.fault_server import FaultServer, is_probe

CALM = "forward"


class Faults(FaultServer):
    def __init__(self, upstream):
        super().__init__(upstream=upstream)
        self._spells = []
        self._every = None
        self._requests = itertools.count(1)
        self.probes_too = True

    def calm(self):
        """All is well from now on."""
        self._spells, self._every, self.fault, self.probes_too, self.delay = [], None, CALM, True, 0.2

    @contextmanager
    def during(self, *spells, then=CALM, retry_after=None, probes_too=True):
        """For a while: `spells` are (fault, requests) that follow each other, `then` is what comes after them."""
        every = self._every
        self._spells, self.fault = [list(spell) for spell in spells], then
        self.retry_after, self.probes_too, self._every = retry_after, probes_too, None
        try:
            yield
        finally:
            self.calm()
            self._every = every

    def now_and_then(self, fault, every):
        """Every n-th request fails until all is calm."""
        self._every = (fault, every)

    def fault_for(self, target):
        if is_probe(target) and not self.probes_too:
            return CALM
        with self._lock:
            while self._spells and self._spells[0][1] == 0:
                self._spells.pop(0)
            if self._spells:
                self._spells[0][1] -= 1
                return self._spells[0][0]
            if self._every and next(self._requests) % self._every[1] == 0:
                return self._every[0]
            return self.fault
