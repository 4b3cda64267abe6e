"""airtight as a child of this process: its commands, one after another, and what stops them.

In: command lines and environments. Out: lines of output while they come, and exit statuses. Must never leave airtight
running: the kernel kills it when this process dies, and with it everything inside its container.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from airtight_airflow._command import CommandError

# prctl(2); loaded here, because between fork and exec there should be no more than the call.
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1

# airtight's stop timeout, where nobody sets another; and what the kills and the cleanup behind it may take.
_STOP_SECONDS = 10
_CLEANUP_SECONDS = 20

# A few of airtight's own deadlines one after another: 30 seconds for each call of containerd (src/containerd/mod.rs),
# each command in airflow.cfg and the image hook.
_ANSWER_SECONDS = 180

# A plan with its OCI spec has 50 KiB, and a few with many variables.
_MOST_ANSWER = 4 << 20
_MOST_COMPLAINT = 16 << 10


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
        child = self._child = _Child(argv, environment, descriptors)
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


def ask(
    argv: Sequence[str],
    environment: Mapping[str, str],
    descriptors: Sequence[int] = (),
    most: int = _MOST_ANSWER,
    seconds: float = _ANSWER_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """The answer of a command that is soon done, and has at most so many bytes."""
    with _start(argv, environment, descriptors, stderr=subprocess.PIPE) as process:
        try:
            answer, complaint = _read(process, most, time.monotonic() + seconds)
        except TimeoutError:
            raise CommandError(f"airtight {argv[1]} gave no answer within {seconds} seconds") from None
        except OverflowError as why:
            raise CommandError(f"airtight {argv[1]} was ended: {why}") from None
        finally:
            end(process)
    return subprocess.CompletedProcess(argv, process.returncode, answer, complaint)


def _read(process: subprocess.Popen[bytes], most: int, deadline: float) -> tuple[str, str]:
    """All of stdout and stderr, and the process has ended; an error where that is too much or takes too long."""
    said = {process.stdout: b"", process.stderr: b""}
    limits = {process.stdout: most, process.stderr: _MOST_COMPLAINT}
    with selectors.DefaultSelector() as open_ones:
        for stream in said:
            open_ones.register(stream, selectors.EVENT_READ)
        while open_ones.get_map():
            ready = open_ones.select(max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                stream = key.fileobj
                # One byte more than it may say, never what a container cares to write.
                piece = os.read(key.fd, limits[stream] + 1 - len(said[stream]))
                said[stream] += piece
                if len(said[stream]) > limits[stream]:
                    raise OverflowError(f"it said more than {limits[stream]} bytes")
                if not piece:
                    open_ones.unregister(stream)
    try:
        process.wait(max(0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    answer, complaint = (text.decode("utf-8", "replace") for text in said.values())
    return answer, complaint


def end(process: subprocess.Popen[bytes], stop_seconds: float = _STOP_SECONDS) -> None:
    """Has airtight stop what it runs, if it still does, and waits for its end; by force where that takes too long."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(stop_seconds + _CLEANUP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class _Child:
    """A running airtight."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int]) -> None:
        # stdout and stderr are one pipe, which a payload itself writes to: that keeps the order of its lines.
        self._process = _start(argv, environment, descriptors, stderr=subprocess.STDOUT)

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
        end(self._process)


def _start(
    argv: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int], stderr: int
) -> subprocess.Popen[bytes]:
    """A process that the kernel kills when this one dies."""
    parent = os.getpid()
    try:
        return subprocess.Popen(
            argv,
            env=dict(environment),
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            preexec_fn=lambda: _die_with(parent),
        )
    except (OSError, ValueError) as why:
        raise CommandError(f"airtight cannot be started: {why}") from None


def _die_with(parent: int) -> None:
    """The kernel sends SIGKILL when the parent dies: at once, since Airflow may start the task again elsewhere."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # It may have died before that.
    if os.getppid() != parent:
        os._exit(125)
