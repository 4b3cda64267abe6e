"""The client of the keeper of warm parsers (docs/parsers.md): one keeper for each process that has files parsed.

In: orders for DAG files with descriptors for the program in the container. Out: how the file's process there ended. The
keeper, `airtight parse --serve`, is started for the first file, and again where it has died; it ends with this process,
and kills a file's process when whoever waits for it is gone. Must never give the keeper what no container and no hook
of the operator's needs.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from airtight_airflow import _command

# The most that a packet of the keeper's holds.
_PACKET_BYTES = 128 * 1024


@dataclass(frozen=True)
class Order:
    """One file to be parsed, and the container for it and its like."""

    file: str
    # A file of inside/ and its arguments; the first one, its socket, is the keeper's to add.
    program: str
    arguments: Sequence[str] = ()
    # Host paths, mounted read-only at the same path inside.
    read_only: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    # What `airtight run --airflow-2` adds.
    airflow_2: bool = False
    # For the program alone.
    job: Mapping[str, Any] = field(default_factory=dict)

    def packet(self) -> bytes:
        """As the keeper reads it."""
        return json.dumps(
            {
                "file": self.file,
                "program": f"{_command.INSIDE}/{self.program}",
                "arguments": list(self.arguments),
                "mounts": _command.mounts(self.read_only),
                "variables": dict(self.variables),
                "labels": dict(self.labels),
                "airflow_2": self.airflow_2,
                "job": {"file": self.file, **self.job},
            }
        ).encode()


# The exit code of a process that ended as a file whose End is lost.
LOST = 122

# A keeper that lives takes a file at once: it never waits for one.
_TAKEN_SECONDS = 1

# In which a keeper ends its containers; killing takes a moment, and what is left is undone later.
_LEAVING_SECONDS = 10

# The most of an explanation that is shown.
_EXPLANATION = 16 * 1024

# Files that were lost when they were parsed last.
_lost: set[str] = set()


@dataclass(frozen=True)
class End:
    """How a file's process ended."""

    code: int | None = None
    signal: int | None = None
    # Why there was none.
    failed: str | None = None
    # Why it ended in the middle, with its keeper or with others' files: perhaps through no fault of its own.
    lost: str | None = None

    def explain(self) -> str | None:
        """For the author of a file of which there is no result; nothing where the process ended well."""
        why = self.failed or self.lost
        if why is not None:
            return f"airtight: this file was not parsed: {why}"[:_EXPLANATION]
        if self.code == 0:
            return None
        how = f"ended with exit code {self.code}"
        if self.signal is not None:
            names = {number.value: number.name for number in signal.Signals}
            how = f"was killed by {names.get(self.signal, f'signal {self.signal}')}"
        if self.signal == signal.SIGKILL:
            how += ", as the kernel does where a container's memory limit is reached"
        return (
            f"airtight: the process that parsed this file in its container {how};"
            " the DAG processor's log of this file may say more"
        )

    def exit_code(self) -> int:
        """As Python's subprocess module has it."""
        if self.signal is not None:
            return -self.signal
        if self.lost is not None:
            return LOST
        return _command.AIRTIGHT_FAILED if self.code is None else self.code

    def end_alike(self) -> NoReturn:
        """Ends this process, a fork of Airflow's, in the same way."""
        if self.signal is not None:
            # Not with the memory of Airflow's own process in a file.
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if self.signal != signal.SIGKILL:
                signal.signal(self.signal, signal.SIG_DFL)
            os.kill(os.getpid(), self.signal)
        os._exit(self.exit_code())


def is_forgiven(file: str, end_is_lost: bool) -> bool:
    """Whether `file`, which ended so, has no import error but is parsed again at its turn: once in a row."""
    return end_is_lost and file not in _lost


def remember(file: str, was_forgiven: bool) -> None:
    """What came of the last parse of `file`."""
    if was_forgiven:
        _lost.add(file)
    else:
        _lost.discard(file)


def cpu_seconds(limit: int) -> int:
    """More than a file can use within the manager's time `limit`: only what nobody waits for any more reaches it."""
    return (limit + 1) * (os.cpu_count() or 1)


class Keeper:
    """A living `airtight parse --serve`, for this process and its forks."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(_TAKEN_SECONDS)
        self._parent = os.getpid()
        with theirs:
            # What it and its containers have to say goes where this process says it.
            self._process = subprocess.Popen(
                [_command.binary(), "parse", "--serve", str(theirs.fileno())],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=2,
                pass_fds=[theirs.fileno()],
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def lives(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def close(self) -> None:
        """Ends it and its containers."""
        self.socket.close()
        self._process.wait()

    def leave(self) -> None:
        """The same at the end of this process, which is not kept for long: the kernel would kill the keeper then."""
        if os.getpid() == self._parent:
            self.socket.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LEAVING_SECONDS)


_keeper: Keeper | None = None


def keeper(environment: Callable[[], Mapping[str, str]]) -> Keeper:
    """This process's keeper; `environment` is asked for one that has yet to be started."""
    global _keeper
    if _keeper is not None and not _keeper.lives():
        atexit.unregister(_keeper.leave)
        _keeper.close()
        _keeper = None
    if _keeper is None:
        _keeper = Keeper(environment())
        atexit.register(_keeper.leave)
    return _keeper


class Refused:
    """A file that cannot be parsed, to those who expect a `Parse`."""

    pid = 0

    def __init__(self, why: str, descriptors: Sequence[int]) -> None:
        """Nobody gets the `descriptors`."""
        self._end = End(failed=why)
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.close()

    def give_up(self) -> None:
        """There is nothing to kill."""

    def wait(self) -> End:
        """Its end."""
        return self._end


class Parse:
    """A file that is being parsed."""

    def __init__(self, keeper: Keeper, packet: bytes, descriptors: Sequence[int]) -> None:
        """Gives `packet` to `keeper`; descriptor k becomes the file's descriptor k."""
        # What Airflow shows as the process.
        self.pid = keeper.pid
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            numbers = array.array("i", [theirs.fileno(), *descriptors])
            # Where the keeper is dead or takes nothing, or the kernel refuses, nobody answers, as when it dies later.
            with contextlib.suppress(OSError):
                keeper.socket.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])

    def give_up(self) -> None:
        """Has the keeper kill the file's process, whose end is of no more interest."""
        # It may have been told already.
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_RDWR)

    def wait(self) -> End:
        """Its end."""
        try:
            answer = self.control.recv(_PACKET_BYTES)
        except ConnectionResetError:
            answer = b""
        if not answer:
            why = "ended or takes no more files; what it said is in the log of the DAG processor"
            return End(lost=f"airtight's keeper of parsers (process {self.pid}) {why}")
        said = json.loads(answer)
        if "failed" in said:
            hint = said.get("hint")
            return End(failed=f"{said['failed']}\nHint: {hint}" if hint else said["failed"])
        return End(code=said.get("code"), signal=said.get("signal"), lost=said.get("lost"))
