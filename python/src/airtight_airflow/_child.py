"""One `airtight run` as a child of this process, from its start to its verdict.

In: a command line, an environment, and the file that airtight writes its verdict to. Out: its lines of output while
they come, and at the end an `Ending`. Must never leave the container running: airtight is killed by the kernel when
this process dies, and with airtight everything inside.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# prctl(2); loaded here, because between fork and exec there should be no more than the call.
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1

# airtight's stop timeout is 10 seconds; then come the kills and the cleanup.
_STOP_SECONDS = 30


@dataclass(frozen=True)
class Ending:
    """How a run ended: airtight's verdict; where there is none, airtight's own exit status says why."""

    verdict: Mapping[str, Any] = field(default_factory=dict)
    status: int = 0

    @property
    def payload_code(self) -> int | None:
        """The payload's exit code as docker counts it, 128 and the number of a signal; None if it never ran."""
        if self.verdict.get("cause") in ("exited", "signaled", "oom"):
            return int(self.verdict["exit_code"])
        return None

    def explain(self, mem_limit: float | str | None = None) -> str:
        """In words."""
        verdict, cause = self.verdict, self.verdict.get("cause")
        if cause == "exited":
            return f"it ended with exit code {verdict['code']}{self._kills()}"
        if cause == "signaled":
            return f"it was killed by {_signal_name(verdict['signal'])}{self._kills()}"
        if cause == "oom":
            limit = f"mem_limit is {mem_limit}" if mem_limit else "the host ran out of it, mem_limit is not set"
            peak = verdict.get("memory_peak_bytes")
            used = f", at most {peak} bytes were used" if peak else ""
            return f"the kernel killed it for memory ({limit}{used}): exit code 137"
        if cause == "stopped":
            return "it was stopped on request before it was done"
        if cause == "start-failed":
            return f"it was not started: {verdict.get('reason')}"
        if cause:
            return f"{cause}: {verdict.get('reason') or verdict.get('exit_code')}"
        if self.status < 0:
            return f"airtight itself was killed by {_signal_name(-self.status)}, and everything inside with it"
        return f"airtight ended with exit code {self.status} and without a verdict"

    def _kills(self) -> str:
        kills = self.verdict.get("oom_kills") or 0
        return f"; {kills} of its processes were killed for memory" if kills else ""


class Child:
    """A running airtight."""

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int], verdict: Path
    ) -> None:
        self._verdict = verdict
        parent = os.getpid()
        # stdout and stderr are one pipe, which the payload itself writes to: that keeps the order of its lines.
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
        """Asks airtight to stop the container; does not wait, so that a signal handler can call it."""
        self._process.terminate()

    def wait(self) -> Ending:
        """How it ended."""
        status = self._process.wait()
        try:
            verdict = json.loads(self._verdict.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            verdict = {}
        return Ending(verdict if isinstance(verdict, dict) else {}, status)

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


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
