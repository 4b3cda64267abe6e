"""Hands the variables of a container to airtight without showing a value on a command line.

In: names and values, and which of them are private. Out: the flags that name them, the environment of airtight that
holds the values, and, for names that would change airtight itself, a file in memory. A variable without a value takes
the image's away. Must never put a value into a flag, an error or a file that has a name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from airtight_airflow._memory_file import MemoryFile
from airtight_airflow._translate import Refused

# What airtight and its allocator, its panics and the dynamic loader read in their own environment.
_OWN = ("AIRTIGHT_", "CONTAINERD_", "GLIBC_", "LD_", "MALLOC_", "RUST_")


class Variables:
    """The variables of one container; to be closed when airtight has read them."""

    def __init__(self, plain: Mapping[str, Any], private: Mapping[str, Any]) -> None:
        self.private = frozenset(private)
        self.values = {name: _text(name, value) for name, value in {**plain, **private}.items()}
        own = [name for name in self.values if name.startswith(_OWN)]
        self._own = self._file(own) if own else None

    def flags(self) -> list[str]:
        """The flags that name them."""
        flags = [] if self._own is None else [f"--env-file={self._own.path}"]
        for name in self.values:
            if not name.startswith(_OWN):
                flags.append(f"--private-env={name}" if name in self.private else f"--env={name}")
        return flags

    def environment(self) -> dict[str, str]:
        """airtight's own environment: of the worker's only what airtight reads, so that nothing else can leak."""
        environment = {name: value for name, value in os.environ.items() if name.startswith(_OWN)}
        for name, value in self.values.items():
            if value is not None and not name.startswith(_OWN):
                environment[name] = value
        return environment

    def descriptors(self) -> tuple[int, ...]:
        """What airtight has to inherit."""
        return () if self._own is None else (self._own.descriptor,)

    def secrets(self) -> list[str]:
        """What must not appear in a log: private values, and each line of those that have several."""
        values = [self.values[name] or "" for name in sorted(self.private)]
        return list(dict.fromkeys(part for value in values for part in (value, *value.splitlines()) if part))

    def close(self) -> None:
        """Lets go of the file."""
        if self._own is not None:
            self._own.close()
            self._own = None

    def _file(self, names: Iterable[str]) -> MemoryFile:
        lines = []
        for name in names:
            value = self.values[name]
            if value is None or "\n" in value or "\r" in value:
                raise Refused(f"the variable {name} must have a value of one line: airtight reads that name itself")
            lines.append(f"{name}={value}\n")
        return MemoryFile("".join(lines))


def _text(name: Any, value: Any) -> str | None:
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise Refused(f"{name!r} cannot be the name of a variable")
    if value is None:
        return None
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    if "\0" in text:
        raise Refused(f"the variable {name} has a NUL character in its value")
    return text
