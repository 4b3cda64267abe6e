"""How an `airtight run` ended, from the verdict that it wrote, in words for a task's log.

In: the file of the verdict and the exit status of airtight. Out: the payload's exit code, if it ran, and an
explanation. Must never take airtight's own exit code for the payload's.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ending:
    """How a run ended: airtight's verdict; where there is none, airtight's own exit status says why."""

    verdict: Mapping[str, Any] = field(default_factory=dict)
    status: int = 0

    @classmethod
    def of(cls, status: int, file: Path) -> Ending:
        """With the verdict in a file, should there be one."""
        try:
            verdict = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            verdict = {}
        return cls(verdict if isinstance(verdict, dict) else {}, status)

    @property
    def payload_code(self) -> int | None:
        """The payload's exit code as docker counts it, 128 and the number of a signal; None if it never ran."""
        if self.verdict.get("cause") in ("exited", "signaled", "oom"):
            return int(self.verdict["exit_code"])
        return None

    def explain(self, limit: str = "") -> str:
        """In words; `limit` says what the caller knows of the limit of memory."""
        verdict, cause = self.verdict, self.verdict.get("cause")
        if cause == "exited":
            return f"it ended with exit code {verdict['code']}{self._kills()}"
        if cause == "signaled":
            return f"it was killed by {_signal_name(verdict['signal'])}{self._kills()}"
        if cause == "oom":
            peak = verdict.get("memory_peak_bytes")
            known = ", ".join(filter(None, [limit, f"at most {peak} bytes were used" if peak else ""]))
            return f"the kernel killed it for memory{known and f' ({known})'}: exit code 137"
        if cause == "stopped":
            return "it was stopped on request before it was done"
        if cause == "start-failed":
            return f"it was not started: {verdict.get('reason')}"
        if cause:
            return f"{cause}: {verdict.get('reason') or verdict.get('exit_code')}"
        if self.status < 0:
            return f"airtight itself was killed by {_signal_name(-self.status)}, and everything inside with it"
        return f"airtight ended with exit code {self.status} and without a verdict"

    def summary(self) -> str:
        """In one line, with what the run used; what `airtight run --verbose` writes, a payload could write too."""
        verdict = self.verdict
        words = [f"run {verdict['id']}: {self.explain()}" if "id" in verdict else self.explain()]
        if "milliseconds" in verdict:
            words.append(f"after {verdict['milliseconds'] / 1000:.3f}s")
        if "memory_peak_bytes" in verdict:
            words.append(f"memory peak {verdict['memory_peak_bytes'] / (1 << 20):.1f} MiB")
        if "cpu_seconds" in verdict:
            words.append(f"cpu {verdict['cpu_seconds']:.3f}s")
        return ", ".join(words)

    def _kills(self) -> str:
        kills = self.verdict.get("oom_kills") or 0
        return f"; {kills} of its processes were killed for memory" if kills else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
