"""What opens a registry: an Airflow connection of the type `docker`, in the form that `airtight image pull` reads.

In: the id of a connection, which Airflow looks up wherever it keeps connections (database, vault, environment). Out: a
flag for airtight and the descriptor of a docker config.json in memory. To be asked for at the moment of the pull, since
passwords of registries expire. Must never let the password into a log, an exception or a file with a name.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airtight_airflow._airflow import BaseHook
from airtight_airflow._memory_file import MemoryFile
from airtight_airflow._translate import Refused


@dataclass(frozen=True)
class Credentials:
    """What airtight is given; nothing, where the worker's own files count."""

    flags: tuple[str, ...] = ()
    descriptors: tuple[int, ...] = ()
    path: str = ""
    connection: str = ""
    # For messages: whose they are, and what they open.
    words: str = ""

    def shown(self, line: str) -> str:
        """What airtight says, with a name that still means something when the file is gone."""
        return line.replace(self.path, self.connection) if self.path else line


@contextmanager
def credentials(conn_id: str | None) -> Iterator[Credentials]:
    """Those of a connection as DockerHook reads it, for as long as the block takes."""
    if not conn_id:
        yield Credentials()
        return
    connection = BaseHook.get_connection(conn_id)
    registry = _registry(connection)
    pair = f"{connection.login}:{connection.password or ''}"
    auth = base64.b64encode(pair.encode()).decode()
    with MemoryFile(json.dumps({"auths": {registry: {"auth": auth}}})) as file:
        name = f"the connection {conn_id!r}"
        flags = (f"--registry-config={file.path}",)
        yield Credentials(flags, (file.descriptor,), file.path, name, f" with {name} for {registry}")


def _registry(connection: Any) -> str:
    """`reauth` and `email` of the connection say nothing here: nothing is kept that could be used again."""
    for value, what in ((connection.host, "registry (host)"), (connection.login, "user (login)")):
        if not value:
            raise Refused(f"docker_conn_id: the connection {connection.conn_id!r} names no {what}")
    # Docker's clients go by the host alone, however the registry is written.
    host = connection.host.split("://")[-1].split("/")[0]
    return f"{host}:{connection.port}" if connection.port else host
