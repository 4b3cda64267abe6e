"""The forks that do jobs for a keeper: what they see, how they end, and that nothing of them is left.

The keeper here is a stand-in at the other end of the program's socket; there is no container and no Airflow.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import airtight_airflow

INSIDE = Path(airtight_airflow.__file__).parent / "inside"
DEADLINE_SECONDS = 30

# A job's code runs in its fork, with `send`, which writes JSON to the job's fourth descriptor.
PROGRAM = """
import json, os, signal, sys, time
sys.path.insert(0, sys.argv[2])
import _forks

def run(job):
    send = lambda value: os.write(3, json.dumps(value).encode())
    exec(job["code"], {"job": job, "send": send, "os": os, "signal": signal, "sys": sys, "time": time})
    return job.get("exit", 0)

def ahead(job):
    exec(job.get("ahead", ""), globals())

def load():
    exec(sys.argv[3], globals())
    return _forks.Parser(run, ahead)

_forks.serve(int(sys.argv[1]), load)
"""

# Leaves a process behind that has left its session, ignores what can be ignored, and holds the job's output open.
DAEMON = """
there, ready = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        os.write(1, b"daemon")
        os.write(ready, b".")
        while True:
            signal.pause()
    os._exit(0)
os.wait()
os.read(there, 1)
"""


class Keeper:
    """A program, and the keeper's end of its socket."""

    def __init__(self, load: str = "") -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(DEADLINE_SECONDS)
        self.jobs: list[Job] = []
        self.program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(theirs.fileno()), str(INSIDE), load],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        theirs.close()

    def hear(self) -> dict:
        """The next thing that the program says."""
        return json.loads(self.socket.recv(1 << 17))

    def say(self, packet: dict, descriptors: list[int] = ()) -> None:
        """One packet, with descriptors."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        self.socket.sendmsg([json.dumps(packet).encode()], rights)

    def start(self, identity: int, code: str, **job: object) -> Job:
        """Sends a job whose streams are pipes of the test's."""
        self.jobs.append(Job(self, identity, {"code": code, **job}))
        return self.jobs[-1]

    def do(self, code: str, **job: object) -> tuple[dict, object]:
        """A job to its end: its report without the number, and what it sent."""
        started = self.start(1, code, **job)
        report = self.hear()
        assert report.pop("id") == 1
        return report, started.sent()

    def close(self) -> None:
        """Ends the program."""
        self.socket.close()
        if self.program.poll() is None:
            self.program.wait(DEADLINE_SECONDS)
        self.program.stderr.close()
        for job in self.jobs:
            for number in (job.stdin, *job.pipes):
                os.close(number)


class Job:
    """The test's ends of a job's streams."""

    def __init__(self, keeper: Keeper, identity: int, content: dict) -> None:
        stdin, self.stdin = os.pipe()
        self.pipes: list[int] = []
        theirs = [stdin]
        for _ in range(3):
            ours, one = os.pipe()
            self.pipes.append(ours)
            theirs.append(one)
        keeper.say({"id": identity, "job": content}, theirs)
        for number in theirs:
            os.close(number)

    def read(self, number: int) -> bytes:
        """What comes out of descriptor `number` of the job; waits for it."""
        return os.read(self.pipes[number - 1], 1 << 16)

    def is_over(self, number: int = 1) -> bool:
        """Whether no process has descriptor `number` of the job any more, now and without waiting."""
        os.set_blocking(self.pipes[number - 1], False)
        try:
            while self.read(number):
                pass
        except BlockingIOError:
            return False
        return True

    def sent(self) -> object:
        """What the code gave to `send`."""
        text = self.read(3)
        return json.loads(text) if text else None


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    """A program that is ready."""
    started = Keeper()
    assert started.hear() == {"ready": True}
    yield started
    started.close()


def test_a_job_is_done_with_its_own_descriptors_and_its_exit_code_reported(keeper: Keeper) -> None:
    job = keeper.start(5, "os.write(1, os.read(0, 9)); print('said', file=sys.stderr)", exit=3)
    os.write(job.stdin, b"asked")
    assert keeper.hear() == {"id": 5, "code": 3}
    assert (job.read(1), job.read(2)) == (b"asked", b"said\n")


@pytest.mark.parametrize(
    ("code", "report"),
    [
        ("raise ValueError('no')", {"code": 1}),
        ("sys.exit(7)", {"code": 7}),
        ("sys.exit()", {"code": 0}),
        ("sys.exit('no')", {"code": 1}),
        ("os._exit(9)", {"code": 9}),
        ("os.abort()", {"signal": signal.SIGABRT}),
        ("os.kill(os.getpid(), signal.SIGKILL)", {"signal": signal.SIGKILL}),
        ("os.closerange(0, 100)", {"code": 0}),
        ("sys.stdout.close(); sys.stderr = None", {"code": 0}),
    ],
)
def test_every_way_to_end_is_reported_and_the_next_job_is_done(keeper: Keeper, code: str, report: dict) -> None:
    assert keeper.do(code)[0] == report
    assert keeper.do("send('still here')") == ({"code": 0}, "still here")


def test_what_one_job_changes_no_later_one_sees(keeper: Keeper) -> None:
    look = """
import resource
umask = os.umask(0)
send({
    "modules": sorted(sys.modules), "argv": sys.argv, "path": sys.path, "environment": dict(os.environ),
    "directory": os.getcwd(), "umask": umask, "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
    "handlers": [str(signal.getsignal(number)) for number in range(1, 32)],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "timer": signal.getitimer(signal.ITIMER_REAL),
})
"""
    before = keeper.do(look)
    change = """
import colorsys, resource
os.environ["COLOUR"] = "green"
os.chdir("/tmp")
os.umask(0o007)
sys.argv.append("more")
sys.path.append("/nowhere")
for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
signal.setitimer(signal.ITIMER_REAL, 100)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
open("/dev/null")
"""
    assert keeper.do(change)[0] == {"code": 0}
    assert keeper.do(look) == before


def test_a_job_has_no_descriptor_but_its_own(keeper: Keeper) -> None:
    keeper.start(2, "os.read(0, 1)")
    code = """
there = []
for number in range(1000):
    try:
        os.fstat(number)
        there.append(number)
    except OSError:
        pass
send([there, [number for number in there if os.get_inheritable(number)]])
"""
    assert keeper.do(code)[1] == [[0, 1, 2, 3], [0, 1, 2]]


def test_a_job_is_killed_before_its_parser_and_cannot_be_looked_into(keeper: Keeper) -> None:
    code = """
import ctypes
read = lambda pid: int(open(f"/proc/{pid}/oom_score_adj").read())
PR_GET_DUMPABLE = 3
send([read("self") - read(os.getppid()), ctypes.CDLL(None).prctl(PR_GET_DUMPABLE), os.getsid(0) == os.getpid()])
"""
    adjusted = Path("/proc/self/oom_score_adj").read_text()
    assert keeper.do(code)[1] == [500, 0, True]
    assert Path(f"/proc/{keeper.program.pid}/oom_score_adj").read_text() == adjusted


def test_a_job_is_limited_in_cpu_time_and_leaves_no_core(keeper: Keeper) -> None:
    code = "import resource as r; send([r.getrlimit(r.RLIMIT_CPU), r.getrlimit(r.RLIMIT_CORE)])"
    assert keeper.do(code, cpu_seconds=77)[1] == [[77, 82], [0, 0]]


def test_jobs_are_done_at_the_same_time(keeper: Keeper) -> None:
    first = keeper.start(2, "os.read(0, 1)")
    keeper.start(3, "pass")
    assert keeper.hear() == {"id": 3, "code": 0}
    os.write(first.stdin, b".")
    assert keeper.hear() == {"id": 2, "code": 0}


def test_a_job_is_reported_only_when_all_that_it_started_is_dead(keeper: Keeper) -> None:
    job = keeper.start(2, DAEMON)
    assert job.read(1) == b"daemon"
    assert keeper.hear() == {"id": 2, "code": 0}
    assert job.is_over()


def test_what_a_job_left_is_killed_while_another_goes_on(keeper: Keeper) -> None:
    other = keeper.start(3, DAEMON + "os.read(0, 1)")
    assert other.read(1) == b"daemon"
    keeper.start(2, DAEMON)
    assert keeper.hear() == {"id": 2, "code": 0}
    assert not other.is_over()
    os.write(other.stdin, b".")
    assert keeper.hear() == {"id": 3, "code": 0}
    assert other.is_over()


@pytest.mark.parametrize(
    "code",
    [
        DAEMON + "signal.pause()",
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); os.write(1, b'daemon'); time.sleep(1000)",
        "os.write(1, b'daemon'); os.kill(os.getpid(), signal.SIGSTOP)",
        "os.write(1, b'daemon'); os.closerange(0, 100); time.sleep(1000)",
        "os.write(1, b'daemon')\nwhile True: pass",
    ],
)
def test_a_kill_ends_a_job_and_all_that_it_started(keeper: Keeper, code: str) -> None:
    job = keeper.start(2, code)
    assert job.read(1) == b"daemon"
    keeper.say({"kill": 2})
    assert keeper.hear() == {"id": 2, "signal": signal.SIGKILL}
    assert job.is_over()


def test_a_kill_of_a_job_that_is_over_hurts_nobody(keeper: Keeper) -> None:
    keeper.do("pass")
    keeper.say({"kill": 1})
    assert keeper.do("pass")[0] == {"code": 0}


def test_a_job_that_kills_another_is_no_harm_to_the_parser(keeper: Keeper) -> None:
    victim = keeper.start(2, "send(os.getpid()); time.sleep(1000)")
    keeper.start(3, f"os.kill({victim.sent()}, signal.SIGKILL)")
    reports = [keeper.hear(), keeper.hear()]
    assert {"id": 2, "signal": signal.SIGKILL} in reports
    assert {"id": 3, "code": 0} in reports


def test_the_end_of_the_socket_ends_everything(keeper: Keeper) -> None:
    job = keeper.start(2, DAEMON + "signal.pause()")
    assert job.read(1) == b"daemon"
    keeper.socket.close()
    assert keeper.program.wait(DEADLINE_SECONDS) == 0
    assert job.is_over()


def test_what_is_imported_ahead_every_later_job_has(keeper: Keeper) -> None:
    assert keeper.do("send('colorsys' in sys.modules)", ahead="import colorsys")[1] is True
    assert keeper.do("send('colorsys' in sys.modules)")[1] is True


def test_what_cannot_be_imported_ahead_does_not_keep_a_job_from_being_done(keeper: Keeper) -> None:
    assert keeper.do("send('done')", ahead="import no_such_module_anywhere") == ({"code": 0}, "done")


def test_a_job_for_which_no_process_can_be_made_has_failed(keeper: Keeper) -> None:
    no_fork = "fork = os.fork\ndef none(): raise BlockingIOError(11, 'no more processes')\nos.fork = none"
    report, _ = keeper.do("pass", ahead=no_fork)
    assert "no more processes" in report["failed"]
    assert keeper.do("pass", ahead="os.fork = fork")[0] == {"code": 0}


def test_many_jobs_leave_no_descriptor_in_the_program(keeper: Keeper) -> None:
    count = "there = len(os.listdir('/proc/self/fd'))"
    send = "import __main__; send(__main__.there)"
    first = keeper.do(send, ahead=count)[1]
    for _ in range(20):
        keeper.do("pass")
    assert keeper.do(send, ahead=count)[1] == first


@pytest.mark.parametrize(
    ("load", "why"),
    [
        ("raise _forks.Refused('another version')", "another version"),
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("sys.exit('ended')", "SystemExit: ended"),
    ],
)
def test_a_program_that_cannot_begin_says_why(load: str, why: str) -> None:
    keeper = Keeper(load)
    assert keeper.hear() == {"failed": why}
    assert keeper.socket.recv(1) == b""
    assert keeper.program.wait(DEADLINE_SECONDS) == 1
    keeper.close()
