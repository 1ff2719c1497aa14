"""A child process that never outlives this one, and whose output goes to a log under target/logs."""

import ctypes
import os
import signal
import subprocess
import sys

from . import env

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Process:
    """Started at once. `death_signal` is what the kernel sends it should this process be killed."""

    def __init__(self, command, log_name, user=None, death_signal=signal.SIGKILL, environment=None):
        env.LOGS.mkdir(parents=True, exist_ok=True)
        self.log_path = env.LOGS / f"{log_name}.log"
        parent = os.getpid()

        def before_exec():
            _libc.prctl(_PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != parent:  # it was too late already
                os._exit(1)

        with open(self.log_path, "ab") as log:
            self._child = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                # A session of its own: Ctrl-C at the terminal reaches us, and we end it in order.
                start_new_session=True,
                preexec_fn=before_exec,
                env=environment,
                **as_user(user),
            )

    @property
    def pid(self):
        return self._child.pid

    def is_running(self):
        return self._child.poll() is None

    def send(self, number):
        if self.is_running():
            self._child.send_signal(number)

    def wait(self, timeout):
        return self._child.wait(timeout)

    def stop(self, number=signal.SIGTERM, timeout=30):
        """Sends the signal and waits; what does not obey is killed."""
        self.send(number)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            return self.wait(timeout)

    def log_tail(self, lines=20):
        text = self.log_path.read_text(errors="replace").splitlines()
        return "\n".join(text[-lines:])


def as_user(user):
    """Arguments of subprocess that make the child run as `user` (a passwd entry, or None for oneself)."""
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def exit_on_signals(end=sys.exit):
    """Makes Ctrl-C, SIGTERM and SIGHUP end the program in order: through every `with` block."""

    def leave(number, _frame):
        end(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
