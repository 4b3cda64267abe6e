"""Does jobs, each in a fork of this process, for a keeper at the other end of a socket (docs/parsers.md).

In: packets from the keeper, one JSON object each: `{"id": N, "job": {…}}` with descriptors, and `{"kill": N}`. Out:
`{"ready": true}` once there is something to fork from, or `{"failed": why}` if there never will be; for each job
`{"id": N, "code": C}`, `{"id": N, "signal": S}`, or `{"id": N, "failed": why}` where no fork could be made. The end of
the socket ends the program and all its forks.

A job is reported only when all that it started is dead: a fork adopts what its own descendants leave, this program
adopts what a dead fork leaves, and kills it. What cannot be killed ends the program, and with it the container.

A fork must never see the keeper's socket, another job's descriptors, or anything of a job before it: so nothing of a
job's is ever executed here.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, NoReturn

# The most that a packet holds, and a job brings with it.
_PACKET_BYTES = 128 * 1024
_DESCRIPTORS = 16

# linux/prctl.h
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
# The same number on every architecture (Linux 5.9); Python's own closerange is slow before 3.10.
_SYS_CLOSE_RANGE = 436
_HIGHEST_DESCRIPTOR = 2**31 - 1

# How much sooner than this program a fork is killed when memory is short: as if it held half of it.
_OOM_SCORE = 500

# What is left of a finished job, killed again and again, may take this long to be gone.
_LEFT_SECONDS = 5

# Between SIGXCPU and SIGKILL.
_CPU_GRACE_SECONDS = 5

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """There is nothing to fork from, and the message says why to the authors of the files."""


class Parser(NamedTuple):
    """What a program does with its jobs."""

    # Does the job in its fork, whose descriptors 0, 1, 2, … are the job's; its exit code.
    run: Callable[[dict[str, Any]], int]
    # Here, before the fork: imports what the job will need. Must never execute anything of the job's.
    ahead: Callable[[dict[str, Any]], None]


def serve(channel: int, load: Callable[[], Parser]) -> NoReturn:
    """Does jobs until the socket `channel` ends; `load` imports what all of them need."""
    keeper = socket.socket(fileno=channel)
    keeper.set_inheritable(False)
    # Only as long as this process may be looked into, it may open its own files below /proc.
    score = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        parser = load()
    except BaseException as error:
        traceback.print_exc()
        _say(keeper, {"failed": str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"})
        sys.exit(1)
    # The collector would touch, and so copy in each fork, what all of them share.
    gc.collect()
    _Forks(keeper, score, parser).serve()


class _Forks:
    def __init__(self, keeper: socket.socket, score: int, parser: Parser) -> None:
        self._keeper = keeper
        self._score = score
        self._parser = parser
        # Forks that live: process id -> job.
        self._running: dict[int, int] = {}
        # Forks that are dead, but perhaps not all that they started: their reports.
        self._ended: list[dict[str, int]] = []
        self._deadline: float | None = None
        # SIGCHLD wakes the loop up by way of a pipe.
        self._awake, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._child_handler = signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> NoReturn:
        poll = select.poll()
        poll.register(self._keeper, select.POLLIN)
        poll.register(self._awake, select.POLLIN)
        _say(self._keeper, {"ready": True})
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(self._patience())}
            if self._awake in ready:
                _drain(self._awake)
            self._reap()
            if self._keeper.fileno() in ready:
                self._hear()

    def _patience(self) -> float | None:
        """For how many milliseconds nothing need happen."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic()) * 1000

    def _hear(self) -> None:
        """One packet of the keeper's."""
        numbers = array.array("i")
        try:
            data, ancillary, flags, _ = self._keeper.recvmsg(
                _PACKET_BYTES, socket.CMSG_SPACE(_DESCRIPTORS * numbers.itemsize), socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            data, ancillary, flags = b"", [], 0
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
        if not data:
            self._end(0)
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            print("airtight: a packet of the keeper's is too large", file=sys.stderr)
            self._end(1)
        packet = json.loads(data)
        if "kill" in packet:
            _kill([pid for pid, job in self._running.items() if job == packet["kill"]])
            return
        try:
            self._start(packet["id"], packet["job"], list(numbers))
        finally:
            for number in numbers:
                os.close(number)

    def _start(self, identity: int, job: dict[str, Any], descriptors: list[int]) -> None:
        """One fork."""
        try:
            self._parser.ahead(job)
        except Exception:
            # Then the fork finds out, and says so where the file's author reads it.
            traceback.print_exc()
        gc.freeze()
        sys.stdout.flush()
        sys.stderr.flush()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        mine = os.pread(self._score, 16, 0)
        try:
            # Before the fork, which has no right to do it itself.
            os.write(self._score, b"%d" % min(1000, int(mine) + _OOM_SCORE))
            pid = os.fork()
            if pid == 0:
                self._become(job, descriptors, mask)
            self._running[pid] = identity
        except OSError as error:
            _say(self._keeper, {"id": identity, "failed": f"no process could be made for this file: {error}"})
        finally:
            os.write(self._score, mine)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _become(self, job: dict[str, Any], descriptors: list[int], mask: set[signal.Signals]) -> NoReturn:
        """What the fork does."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, self._child_handler)
            _keep_only(descriptors)
            os.setsid()
            _prctl(_PR_SET_CHILD_SUBREAPER, 1)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if "cpu_seconds" in job:
                _limit_cpu(job["cpu_seconds"])
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            code = self._parser.run(job)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            if isinstance(error.code, str):
                print(error.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                # Perhaps nobody reads it any more, or the file closed it.
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    stream.flush()
            os._exit(code)

    def _reap(self) -> None:
        """Collects the dead, kills what the dead left, and reports jobs of which nothing is left."""
        for pid, status in _dead():
            identity = self._running.pop(pid, None)
            if identity is not None:
                self._ended.append({"id": identity, **_outcome(status)})
        left = _children() - self._running.keys()
        _kill(left)
        if not left:
            self._deadline = None
            for report in self._ended:
                _say(self._keeper, report)
            self._ended.clear()
        elif self._deadline is None:
            self._deadline = time.monotonic() + _LEFT_SECONDS
        elif time.monotonic() > self._deadline:
            print(f"airtight: processes of a finished job do not die: {sorted(left)}", file=sys.stderr)
            self._end(1)

    def _end(self, code: int) -> NoReturn:
        """Leaves, and leaves nothing behind that can be killed."""
        deadline = time.monotonic() + _LEFT_SECONDS
        while True:
            _drain(self._awake)
            for _ in _dead():
                pass
            left = _children()
            _kill(left)
            remaining = deadline - time.monotonic()
            if not left or remaining < 0:
                os._exit(code)
            select.select([self._awake], [], [], remaining)


def _keep_only(descriptors: list[int]) -> None:
    """Makes `descriptors` 0, 1, 2, … in their order, and closes all others."""
    count = len(descriptors)
    # Out of the way first: each may have a number that another one is to get.
    away = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, count) for number in descriptors]
    for target, number in enumerate(away):
        # Standard streams are for the processes of a file too; the others are not.
        os.dup2(number, target, inheritable=target <= 2)
    if _libc.syscall(_SYS_CLOSE_RANGE, count, _HIGHEST_DESCRIPTOR, 0) != 0:
        os.closerange(count, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def _limit_cpu(seconds: int) -> None:
    """Where there is not a lower limit already."""
    wanted = (seconds, seconds + _CPU_GRACE_SECONDS)
    there = resource.getrlimit(resource.RLIMIT_CPU)
    soft, hard = (new if old == resource.RLIM_INFINITY else min(new, old) for new, old in zip(wanted, there))
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _children() -> set[int]:
    """The children of this process, dead ones that are not reaped among them."""
    found: set[int] = set()
    # A child belongs to the thread that made or adopted it.
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/children") as children:
            found.update(int(pid) for pid in children.read().split())
    return found


def _dead() -> Iterator[tuple[int, int]]:
    """Reaps the children that are dead: process id and status of each."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def _kill(children: Iterable[int]) -> None:
    """Kills children that are not reaped: so their numbers cannot be those of strangers by now."""
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _outcome(status: int) -> dict[str, int]:
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    return {"code": os.WEXITSTATUS(status)}


def _say(keeper: socket.socket, message: dict[str, Any]) -> None:
    # Where the keeper is gone, the next thing to be read is the end.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        keeper.send(json.dumps(message).encode())


def _drain(pipe: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(pipe, 4096):
            pass


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")
