"""What a private containerd and this host hold of the containers that tests have started, when nothing should be left.

In: the containerd of scripts/with-containerd. Out: a list of lines, empty when everything is gone. Other containerds
and their containers on this host do not count.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from airflow_home import until

_CGROUPS = Path("/sys/fs/cgroup")


@dataclass
class Watch:
    """Every container that containerd has made since the watch began."""

    events: Path
    # Processes that are meant to stay.
    staying: set[int] = field(default_factory=set)

    def containers(self) -> set[str]:
        """Their ids."""
        words = [line.split() for line in self.events.read_text().splitlines() if "/containers/create" in line]
        # DATE TIME OFFSET ZONE NAMESPACE TOPIC {"id":"…",…}
        return {line[-1].split('"id":"')[1].split('"')[0] for line in words}

    def left(self) -> list[str]:
        """What is left of them, and of the processes that tests have started."""
        known = [f"{kind[:-1]} {name}" for kind in ("containers", "tasks") for name in ctr(kind, "ls", "-q")]
        cgroups = [f"cgroup {path}" for path in _cgroups(self.containers())]
        return known + cgroups + [f"process {pid}: {words}" for pid, words in _processes(self.staying)]


@contextlib.contextmanager
def watching(directory: Path) -> Iterator[Watch]:
    """Notes every container from now on."""
    events = directory / "containerd-events"
    with open(events, "wb") as file:
        process = subprocess.Popen([*_ctr(), "events"], stdout=file)
    watch = Watch(events, {process.pid, os.getpid()})
    try:
        # It has subscribed when it hears of something.
        def hears() -> bool:
            ctr("namespaces", "label", "airtight-watch", "heard=no")
            return events.stat().st_size > 0

        ctr("namespaces", "create", "airtight-watch")
        until(hears, lambda: "ctr events says nothing", 30)
        yield watch
    finally:
        process.terminate()
        process.wait(30)
        ctr("namespaces", "remove", "airtight-watch")


def _ctr() -> list[str]:
    return ["ctr", "--address", os.environ["CONTAINERD_ADDRESS"], "--namespace", "airtight"]


def ctr(*words: str) -> list[str]:
    """What a command of containerd's own client prints."""
    return subprocess.run([*_ctr(), *words], check=True, stdout=subprocess.PIPE, text=True).stdout.split()


def tidy() -> None:
    """What was killed, the next command of airtight tidies away; this is one."""
    subprocess.run(["airtight", "image", "ls"], check=True, stdout=subprocess.DEVNULL)


def processes_with(word: str) -> list[int]:
    """Ids of the processes that have a word in their command line, in containers too."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if word.encode() in (directory / "cmdline").read_bytes().split(b"\0"):
                found.append(int(directory.name))
    return sorted(found)


def callers_with(word: str) -> list[int]:
    """Ids of the processes of airtight that this test run has started with a word in their command line."""
    ours = {pid for pid, _ in _processes(set())}
    return [pid for pid in processes_with(word) if pid in ours and _is_airtight(pid)]


def _is_airtight(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "airtight"
    return False


def container_of(pid: int) -> str:
    """The id of the container in which a process runs."""
    (path,) = {
        line.split(":", 2)[2] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if "/docker/" in line
    }
    return path.rsplit("/", 1)[1]


def _cgroups(ids: Collection[str]) -> list[Path]:
    """Those of these containers, in every hierarchy that there is."""
    # os.walk passes over what goes away meanwhile: others run containers, too.
    found = (Path(parent, name) for parent, names, _ in os.walk(_CGROUPS) for name in names)
    return [path for path in found if path.name in ids]


def _processes(staying: Collection[int]) -> list[tuple[int, str]]:
    """Those that run with the environment of this test run, but for `staying` and what they have started."""
    mark = f"AIRTIGHT_TEST_DIR={os.environ['AIRTIGHT_TEST_DIR']}".encode()
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (directory / "environ").read_bytes().split(b"\0") and not _stays(directory, staying):
                words = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append((int(directory.name), words))
    return found


def _stays(directory: Path, staying: Collection[int]) -> bool:
    """A server's own children are its affair."""
    return int(directory.name) in staying or parent(int(directory.name)) in staying - {os.getpid()}


def parent(pid: int) -> int:
    """The id of a process's parent."""
    # The name before it may hold anything but a closing bracket at its end.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
