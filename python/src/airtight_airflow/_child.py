"""airtight as a child of this process: its commands, one after another, and what stops them.

In: command lines and environments. Out: lines of output while they come, and exit statuses. Must never leave airtight
running: the kernel kills it when this process dies, and with it everything inside its container.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence

from airtight_airflow._command import CommandError

# prctl(2); loaded here, because between fork and exec there should be no more than the call.
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1

# airtight's stop timeout is 10 seconds; then come the kills and the cleanup.
_STOP_SECONDS = 30


class Children:
    """One after another; `stop` ends the one that runs, and each that is started later."""

    def __init__(self) -> None:
        self._child: _Child | None = None
        self.stopped = False

    def run(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        descriptors: Sequence[int],
        show: Callable[[str], None],
    ) -> int:
        """Runs a command, hands over its lines of output while they come, and returns its exit status."""
        try:
            child = self._child = _Child(argv, environment, descriptors)
        except (OSError, ValueError) as why:
            raise CommandError(f"airtight cannot be started: {why}") from None
        try:
            # A signal handler may have asked for it before the child was known.
            if self.stopped:
                child.stop()
            for line in child.lines():
                show(line)
            return child.wait()
        finally:
            # Also where Airflow's time limit or SIGTERM raised an exception above.
            child.close()
            self._child = None

    def stop(self) -> None:
        """Asks for the end of what runs; does not wait, so that a signal handler can call it."""
        self.stopped = True
        if self._child is not None:
            self._child.stop()


def ask(argv: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The answer of a command that changes nothing and takes no time."""
    try:
        return subprocess.run(
            argv, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except (OSError, ValueError) as why:
        raise CommandError(f"airtight cannot be started: {why}") from None


class _Child:
    """A running airtight."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int]) -> None:
        parent = os.getpid()
        # stdout and stderr are one pipe, which a payload itself writes to: that keeps the order of its lines.
        self._process = subprocess.Popen(
            argv,
            env=dict(environment),
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: _die_with(parent),
        )

    def lines(self) -> Iterator[str]:
        """Its output until the end, line by line."""
        if self._process.stdout is None:
            return
        for line in self._process.stdout:
            yield line.decode("utf-8", "replace").rstrip()

    def stop(self) -> None:
        """SIGTERM: airtight stops what it runs, or undoes what it has begun."""
        self._process.terminate()

    def wait(self) -> int:
        """Its exit status, as `subprocess` has it."""
        return self._process.wait()

    def close(self) -> None:
        """Stops it where it still runs, and waits for its end."""
        if self._process.stdout is not None:
            # A payload that still writes learns by EPIPE that nobody reads.
            self._process.stdout.close()
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _die_with(parent: int) -> None:
    """The kernel sends SIGKILL when the parent dies: at once, since Airflow may start the task again elsewhere."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # It may have died before that.
    if os.getppid() != parent:
        os._exit(125)
