"""Whoever closes the gate is alone."""

import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from storm.gate import Gate  # noqa: E402


def test_the_gate_closes_when_all_have_left_and_lets_nobody_in_until_it_opens():
    gate, seen = Gate(), []
    inside, leave = threading.Event(), threading.Event()

    def worker():
        with gate.passed():
            inside.set()
            leave.wait(10)
            seen.append("left")

    first = threading.Thread(target=worker)
    first.start()
    inside.wait(10)
    threading.Timer(0.1, leave.set).start()
    with gate.closed():
        assert seen == ["left"]
        second = threading.Thread(target=worker)
        second.start()
        second.join(0.1)
        assert second.is_alive() and seen == ["left"]
    second.join(10)
    first.join(10)
    assert seen == ["left", "left"]
