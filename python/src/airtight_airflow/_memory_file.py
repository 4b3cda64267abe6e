"""A file without a name: how secrets get to airtight without standing on a disk, a command line or in an environment.

In: text. Out: an open file in memory (memfd_create(2)), and the path under which a child that inherits it finds it. It
is gone when it is closed here and that child has ended. Must never be reachable for another user of the host.
"""

from __future__ import annotations

import os
from types import TracebackType


class MemoryFile:
    """For the time of a `with` block, or until it is closed."""

    def __init__(self, text: str) -> None:
        self.descriptor = os.memfd_create("airtight")
        with open(self.descriptor, "wb", closefd=False) as file:
            file.write(text.encode())

    @property
    def path(self) -> str:
        """What a child that inherits the descriptor opens."""
        return f"/dev/fd/{self.descriptor}"

    def close(self) -> None:
        """Lets go of it."""
        os.close(self.descriptor)

    def __enter__(self) -> MemoryFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
