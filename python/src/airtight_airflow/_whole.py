"""Airflow 3: runs a task with its whole supervisor in the container, where host and image differ in minor version.

In: what Airflow's supervisor was to be called with. Out: the task's state at the API server, its log in Airflow's own
place; an error here where the container ended without having told the server. The image's supervisor talks to the
server itself, so it needs a network and the task's token, which goes in on stdin. Must never put the token into an
argv, an environment or a file, nor leave the container running when `run` returns or this process ends; and must not
believe what the container says on its stderr, where the task can write.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airtight_airflow import _child, _command
from airtight_airflow._ending import Ending
from airtight_airflow._memory_file import MemoryFile
from airtight_airflow.inside.whole_v3 import ALREADY_RUNNING

# So many lines of what the container said on stderr are kept for the task's log.
_LAST_LINES = 30
# A longer one counts as several.
_LINE_BYTES = 4096


class WholeError(RuntimeError):
    """The container ended, and nobody can say that the server knows what became of the task."""


@dataclass(frozen=True)
class TaskLog:
    """Airflow's own log file of one attempt, where there is one."""

    path: Path | None

    @classmethod
    def of(cls, log_path: str | None) -> TaskLog:
        """Makes the file as Airflow would, with the permissions of its settings."""
        if not log_path:
            return cls(None)
        from airflow.sdk.log import init_log_file

        return cls(Path(init_log_file(log_path)).absolute())

    def say(self, level: str, text: str) -> None:
        """Adds a line as Airflow's own are; a log that cannot be written must not change what becomes of the task."""
        if self.path is None:
            return
        now = datetime.now(tz=timezone.utc).isoformat()
        line = {"timestamp": now, "level": level, "event": f"airtight: {text}", "logger": "airtight"}
        with contextlib.suppress(OSError), self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    @contextlib.contextmanager
    def opened(self) -> Iterator[list[int]]:
        """Its descriptor, for a container whose user may not open it."""
        if self.path is None:
            yield []
            return
        with self.path.open("ab") as file:
            yield [file.fileno()]


def job(descriptors: list[int], arguments: Mapping[str, Any]) -> str:
    """What inside/whole_v3.py reads on stdin, from the arguments of the supervisor."""
    workload = {
        "type": "ExecuteTask",
        "token": arguments["token"],
        "ti": arguments["ti"].model_dump(mode="json"),
        "dag_rel_path": os.fspath(arguments["dag_rel_path"]),
        "bundle_info": arguments["bundle_info"].model_dump(mode="json"),
        "log_path": arguments.get("log_path"),
        "sentry_integration": arguments.get("sentry_integration", ""),
    }
    return json.dumps(
        {
            "workload": workload,
            "server": arguments["server"],
            "log_descriptor": descriptors[0] if descriptors else None,
            "subprocess_logs_to_stdout": arguments.get("subprocess_logs_to_stdout", False),
        }
    )


def run(
    run: _command.Run,
    variables: Mapping[str, str],
    log: TaskLog,
    arguments: Mapping[str, Any],
    stop_seconds: float,
) -> int:
    """Runs the container to its end, which a stop leads to in `stop_seconds`; 0, or an error."""
    # Airflow does so too where a process holds a token: none of the same user may look into it.
    from airflow.sdk.execution_time import supervisor

    getattr(supervisor, "_make_process_nondumpable", lambda: None)()

    with log.opened() as descriptors, MemoryFile("") as verdict:
        flags = [*run.flags, f"--verdict={verdict.path}"]
        words = _command.argv(replace(run, descriptors=descriptors, flags=flags))
        given = job(descriptors, arguments).encode()
        with subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=None if arguments.get("subprocess_logs_to_stdout") else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **variables},
            pass_fds=[*descriptors, verdict.descriptor],
        ) as process:
            try:
                with _stop_handed_on(process):
                    said = _talk(process, given)
                    code = process.wait()
            finally:
                # Who called this takes the attempt for failed, and may begin another.
                _child.end(process, stop_seconds)
        ending = Ending.of(code, Path(verdict.path))
    log.say("info", ending.summary())
    if code == 0:
        return 0
    if code == ALREADY_RUNNING:
        raise _already_running(arguments["ti"])
    why = f"the container of this task's supervisor failed: {ending.explain()}"
    log.say("error", f"{why}: {said}" if said else why)
    raise WholeError(f"{why}: {said.splitlines()[-1]}" if said else why)


def _talk(process: subprocess.Popen[bytes], given: bytes) -> str:
    """Hands in the job; the last lines of what the container then says until its end."""
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(given)
    said: deque[bytes] = deque(maxlen=_LAST_LINES)
    for line in iter(lambda: process.stderr.readline(_LINE_BYTES), b""):
        said.append(line)
        # The container's own standard error, as if its supervisor ran here.
        with contextlib.suppress(OSError):
            os.write(2, line)
    return b"".join(said).decode(errors="replace").strip()


def _already_running(ti: Any) -> Exception:
    """What Airflow's own supervisor raises: Celery takes it for a message that came twice."""
    message = f"Task instance {ti.id} is already running"
    try:
        from airflow.sdk.exceptions import TaskAlreadyRunningError
    except ImportError:
        # Before 3.2 its own is an error of the server's answer, which nobody tells from others.
        return WholeError(message)
    return TaskAlreadyRunningError(message)


@contextlib.contextmanager
def _stop_handed_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """While the block lasts, who stops this process stops the container, and its end is waited for."""
    if threading.current_thread() is not threading.main_thread():
        # Signals are the main thread's; when it ends, so does airtight, which dies with its caller.
        yield
        return

    def stop(*_: object) -> None:
        # Not the signal itself: airtight takes only this one for a stop with its time limit.
        process.send_signal(signal.SIGTERM)

    # None is a handler that is not Python's, and could not be put back.
    numbers = [n for n in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(n) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
