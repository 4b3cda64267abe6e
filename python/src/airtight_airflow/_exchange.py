"""The directory of the host through which one run and its operator exchange files.

In: where on the host it may be. Out: paths to mount, the files that stand for the container's /etc/hosts and
/etc/resolv.conf, and the file that a task leaves as its result. Nobody but root and the container gets into it; it
ends with the run. Must never follow a link that the container made: on the host it leads elsewhere.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from airtight_airflow._translate import Refused

# What airtight writes where a container has no address (src/plan/etc.rs, from docker's libnetwork).
_LOCAL_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


class Exchange:
    """A private directory, removed at the end of the `with` block."""

    def __init__(self, parent: str | None) -> None:
        # 0700: what is below may be writable for every user of the container, and for none of the host's.
        self._path = Path(tempfile.mkdtemp(prefix="airflowtmp", dir=parent))

    def __enter__(self) -> Exchange:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Leftovers must not change how the task ended.
        shutil.rmtree(self._path, ignore_errors=True)

    @property
    def verdict(self) -> Path:
        """Where airtight writes how the run ended."""
        return self._path / "verdict.json"

    def directory(self, name: str) -> Path:
        """An empty directory that every user of the container can use, as in /tmp."""
        path = self._path / name
        path.mkdir()
        path.chmod(0o1777)
        return path

    def file(self, name: str, text: str = "") -> Path:
        """A file that every user of the container can write to."""
        path = self._path / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o666)
        return path

    def hosts(self, extra: Mapping[str, str] | Sequence[str], *, shared: bool) -> Path:
        """/etc/hosts with `extra` names; `shared` says that the container has the host's network."""
        pairs = extra.items() if isinstance(extra, Mapping) else (entry.split(":", 1) for entry in extra)
        text = _read("/etc/hosts") if shared else _LOCAL_HOSTS
        if text and not text.endswith("\n"):
            text += "\n"
        for pair in pairs:
            host, address = (*pair, "")[:2]
            if not host or not address or address == "host-gateway":
                raise Refused(f"extra_hosts: {':'.join(pair)} is no name and address")
            text += f"{address}\t{host}\n"
        return self._etc("hosts", text)

    def resolver(self, servers: Sequence[str] | None, search: Sequence[str] | None) -> Path:
        """/etc/resolv.conf: the host's, with `servers` and `search` in the place of its own."""
        replaced = {"nameserver": bool(servers), "search": bool(search), "domain": bool(search)}
        kept = [line for line in _read("/etc/resolv.conf").splitlines() if not replaced.get((line.split() or [""])[0])]
        kept += [f"nameserver {server}" for server in servers or ()]
        # docker's "." says: no search list.
        if search and list(search) != ["."]:
            kept.append(f"search {' '.join(search)}")
        return self._etc("resolv.conf", "\n".join(kept) + "\n")

    def _etc(self, name: str, text: str) -> Path:
        path = self.file(name, text)
        path.chmod(0o644)
        return path


def host_place(path: str, mounts: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """Where a path of the container is on the host: a mount's source, and the path below it."""
    below = [
        (source, posixpath.relpath(path, target))
        for target, source in mounts
        if path.startswith(target.rstrip("/") + "/")
    ]
    # The deepest mount is the one that counts.
    return min(below, key=lambda place: len(place[1]), default=None)


def open_below(root: str, path: str) -> BinaryIO | None:
    """Opens a regular file below `root` without following a link; None where there is none."""
    *parents, last = path.split("/")
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in parents:
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = inner
        # Opening a FIFO must not wait for a writer.
        descriptor = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    except FileNotFoundError:
        return None
    except OSError as why:
        raise Refused(f"{path} of the container cannot be read on the host, where no link is followed: {why}") from None
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused(f"{path} of the container is no regular file")
    return os.fdopen(descriptor, "rb")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
