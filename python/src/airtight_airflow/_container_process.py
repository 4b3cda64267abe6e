"""Airflow 3's side of a DAG file that is parsed in a container: what the manager has instead of a child of its own.

In: a function that gives descriptors to a process in a container (`_parsers.Parse`). Out: a `DagFileProcessorProcess`
whose process that is; the manager's time limit and its SIGKILL end it, and so does the manager's death. Where there was
no container (the image is missing, a setting is refused), that is an import error of the file, which people look at.
The manager never forks for a file: the copy of its memory would cost more than all the rest.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import inspect
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from airtight_airflow import _parsers, _versions

# The minor version from which on import errors are kept by the path within the bundle.
_RELATIVE_SINCE = (3, 1)

# asm-generic/socket.h; Python has no name for it.
_SO_SNDBUFFORCE = 32
_MESSAGE_BYTES = 16 << 20

# Death by a signal as psutil has it: Airflow explains the names that it finds in an exit code.
_Killed = enum.IntEnum("_Killed", {each.name: -each.value for each in signal.Signals})

# Gives descriptors to a new process, of which they become 0, 1, 2, …
Starter = Callable[[Sequence[int]], "_parsers.Parse | _parsers.Refused"]


@functools.cache
def type_() -> type:
    """The class; Airflow is imported no sooner."""
    import psutil
    from airflow.dag_processing.processor import DagFileParsingResult, DagFileProcessorProcess
    from airflow.sdk.execution_time.supervisor import WatchedSubprocess

    # Since 3.3 there may be something that was read before.
    takes_data = "data" in inspect.signature(WatchedSubprocess._register_pipe_readers).parameters
    read_before: dict[str, Any] = {"data": {}} if takes_data else {}

    class Tracker:
        """What a supervisor asks of a process: the `ProcessTracker` of 3.3, a `psutil.Process` before."""

        ProcessNotFound = psutil.NoSuchProcess
        TimeoutExpired = psutil.TimeoutExpired

        def __init__(self, parse: _parsers.Parse | _parsers.Refused) -> None:
            self.parse = parse
            self.end: _parsers.End | None = None
            # What is to be done with its sockets when it is killed.
            self.let_go: Callable[[], None] = lambda: None

        @property
        def pid(self) -> int:
            return self.parse.pid

        def send_signal(self, number: signal.Signals) -> None:
            """Any signal ends it at once; the keeper kills what is left, which is no more heard of."""
            if self.end is None:
                self.end = _parsers.End(signal=number)
                self.parse.give_up()
                self.let_go()

        def wait(self, timeout: float | None) -> int:
            """Never waits: the end is heard of in the manager's loop."""
            if self.end is None:
                raise psutil.TimeoutExpired(timeout, self.pid)
            code = self.end.exit_code()
            return next((killed for killed in _Killed if killed == code), code)

        def hear(self, _control: socket.socket) -> bool:
            """The handler of the socket on which the end is told; whether there is more to come."""
            said = self.parse.wait()
            self.end = self.end or said
            return False

    class Remote(WatchedSubprocess):
        """Starts a process elsewhere, where Airflow would fork."""

        # Airflow's classes have slots, and this one stands between two of them.
        __slots__ = ()

        @classmethod
        def start(cls, *, target: Starter, logger: Any, **arguments: Any) -> Any:
            """As the method that it replaces, but for the fork."""
            # Requests, stdout, stderr, and log lines.
            ours, theirs = zip(*(socket.socketpair() for _ in range(4)), strict=True)
            tracker = Tracker(target([each.fileno() for each in theirs]))
            for each in theirs:
                each.close()
            requests, stdout, stderr, logs = ours
            _make_room(requests)
            process = cls(
                pid=tracker.pid,
                stdin=requests,
                process=tracker,
                process_log=logger,
                start_time=time.monotonic(),
                **arguments,
            )
            process._register_pipe_readers(stdout, stderr, requests, logs, **read_before)
            handlers = (tracker.hear, process.selector.unregister)
            process.selector.register(tracker.parse.control, selectors.EVENT_READ, handlers)
            tracker.let_go = lambda: _let_go(process.selector, requests, (stdout, stderr, logs))
            return process

    class ContainerProcess(DagFileProcessorProcess, Remote):
        """The manager's side of one file."""

        file: str
        bundle_path: str
        _is_concluded = False
        _has_callbacks = False

        @property
        def is_ready(self) -> bool:
            """Whether everything has been read; an end without a result becomes the file's import error."""
            ready = super().is_ready
            if ready and not self._is_concluded:
                self._is_concluded = True
                self._conclude(self._process.end)
            return ready

        def close(self) -> None:
            """What the manager of 3.3 does with a process that it needs no more, or has killed."""
            super().close()
            # The manager's objects form cycles, which may live long.
            self.stdin.close()

        def _on_child_started(self, callbacks: Sequence[Any], *request: Any) -> None:
            self._has_callbacks = bool(callbacks)
            # The end of a process that is gone already will be heard of, as that of any other.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                super()._on_child_started(callbacks, *request)

        def _conclude(self, end: _parsers.End) -> None:
            self.stdin.close()
            why = end.explain()
            if why is not None:
                # Into the log of the file: callbacks have no import errors.
                self.process_log.error(why)
            is_forgiven = _parsers.is_forgiven(self.file, end.lost is not None)
            _parsers.remember(self.file, is_forgiven)
            if is_forgiven and self.parsing_result is None:
                # Then the manager (3.1 and later) does not take the file for parsed, nor its DAGs for stale.
                self.had_callbacks = True
                return
            if self._exit_code != 0 and self.parsing_result is None and not self._has_callbacks:
                self.parsing_result = DagFileParsingResult(
                    fileloc=self.file, serialized_dags=[], import_errors={self._error_key(): why}
                )

        def _error_key(self) -> str:
            # As Airflow's own parser names the file.
            absolute = _versions.airflow_minor() < _RELATIVE_SINCE
            return self.file if absolute else os.path.relpath(self.file, self.bundle_path)

    return ContainerProcess


def _make_room(requests: socket.socket) -> None:
    """The first message must not have to wait for a container that starts: many callbacks are a long one."""
    with contextlib.suppress(OSError):
        # Which only root may do, and airtight is.
        requests.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _MESSAGE_BYTES)


def _let_go(selector: selectors.BaseSelector, requests: socket.socket, logs: Sequence[socket.socket]) -> None:
    """Of a process that is killed, what it has written so far is still logged, and nothing after that.

    The manager closes the log as soon as it has killed, and a line that came later would end its loop.
    """
    for each in (requests, *logs):
        with contextlib.suppress(KeyError, OSError, ValueError):
            handler, on_close = selector.get_key(each).data
            # From here on nobody can write to it, so it has an end.
            each.shutdown(socket.SHUT_RD)
            while each is not requests and handler(each):
                pass
            on_close(each)
        each.close()
