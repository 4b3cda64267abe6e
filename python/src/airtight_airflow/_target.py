"""What becomes of the child that an Airflow 3 supervisor forks: it turns into `airtight run`.

In: a command line and an environment. Out: a `target` for `WatchedSubprocess.start`. The child keeps its pid, so that
time limits, signals and exit codes of the supervisor mean the container; its descriptors 0 (requests), 1, 2 and the
one for log lines become the payload's. Must never return into the child's copy of the supervisor.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from airtight_airflow import _command


@dataclass(frozen=True)
class Target:
    """A function without arguments, as the supervisor wants it, that executes `run`."""

    run: _command.Run
    # Beside what airtight inherits: values for the names in `run.variables`.
    variables: Mapping[str, str]
    # The supervisor's own environment, from before its child put a database of no use into it.
    environment: Mapping[str, str]

    def __call__(self) -> None:
        """Replaces this process; an error here is shown by the supervisor as the child's."""
        descriptor = log_descriptor()
        os.set_inheritable(descriptor, True)
        run = replace(self.run, descriptors=[descriptor], arguments=[str(descriptor), *self.run.arguments])
        words = _command.argv(run)
        os.execve(words[0], words, {**self.environment, **self.variables})


def log_descriptor() -> int:
    """The descriptor for log lines: a local variable of supervisor._fork_main, and nowhere else (3.0 to 3.3)."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "_fork_main":
            return frame.f_locals["log_fd"]
        frame = frame.f_back
    raise RuntimeError("no _fork_main among the callers: this is not the supervisor that airtight_airflow knows")
