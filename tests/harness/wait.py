"""Waiting for something to become true, instead of sleeping for luck."""

import time


def wait_for(condition, timeout, what, pause=0.05):
    """Returns the first true value of condition(); fails when there was none within `timeout` seconds.

    An exception in the condition counts as "not yet", and is shown if it stays that way.
    """
    deadline = time.monotonic() + timeout
    while True:
        last = None
        try:
            value = condition()
            if value:
                return value
        except Exception as error:
            last = error
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {timeout} s for {what}") from last
        time.sleep(pause)
