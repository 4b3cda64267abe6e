"""Airflow 3: makes the DAG processor parse each file in a container.

In: `DagFileProcessorProcess.start`, which forks a child for a file. Out: the same child, which gives its descriptors to
a process in a warm container (`_parsers.py`, `inside/parsers_v3.py`) and ends as that one ends; requests, results and
log lines go over the descriptors that the manager made. Nothing else of the manager changes: its time limit and SIGKILL
of the child reach the container, since the child's end is the process's end. Where there was no container (the image is
missing, a setting is refused), that is an import error of the file, which people look at. Must never pull an image: a
pull would count against the file's time limit.
"""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from airtight_airflow import _crossing, _parsers, _versions
from airtight_airflow._target import log_descriptor

_MARK = "_airtight"
# The minor version from which on import errors are kept by the path within the bundle.
_RELATIVE_SINCE = (3, 1)

# Of why there was no container, this much is shown.
_REASON_BYTES = 16 * 1024


def install() -> None:
    """Puts the container's target into `DagFileProcessorProcess.start`. May be called any number of times."""
    from airflow.configuration import conf
    from airflow.dag_processing.processor import DagFileProcessorProcess

    original = DagFileProcessorProcess.start
    if hasattr(original.__func__, _MARK):
        return

    @functools.wraps(original.__func__)
    def start(cls: type, *, path: Any, bundle_path: Path, **arguments: Any) -> Any:
        file, bundle = os.fspath(path), os.fspath(bundle_path)
        keeper = _parsers.keeper(lambda: _crossing.without_secrets(os.environ))
        packet = order(file, bundle, arguments.get("bundle_name")).packet()
        # The child writes into it why there was no container.
        reason = open(os.memfd_create("airtight-reason"), "w+b", buffering=0)  # noqa: SIM115
        arguments["target"] = functools.partial(parse, keeper.socket, packet, reason)
        process = original.__func__(_processor_class(), path=path, bundle_path=bundle_path, **arguments)
        process.file, process.bundle_path, process.reason = file, bundle, reason
        return process

    setattr(start, _MARK, original)
    DagFileProcessorProcess.start = classmethod(start)
    # The manager would import what a file names before it forks: of no use to another Python, and the host may lack it.
    conf.set("dag_processor", "parsing_pre_import_modules", "False")


def parse(keeper: socket.socket, packet: bytes, reason: BinaryIO) -> NoReturn:
    """What the manager's child does; an error here is shown by the manager as the child's."""
    ending = _parsers.Parse(keeper, packet, [0, 1, 2, log_descriptor()]).wait()
    reason.write((ending.explain() or "").encode()[:_REASON_BYTES])
    ending.end_alike()


@functools.cache
def _processor_class() -> type:
    from airflow.dag_processing.processor import DagFileParsingResult, DagFileProcessorProcess

    class ContainerProcess(DagFileProcessorProcess):
        """The manager's side of one file; has the result of a container that could not be started."""

        file: str
        bundle_path: str
        reason: BinaryIO

        @property
        def is_ready(self) -> bool:
            """Whether everything has been read; an end without a result becomes the file's import error."""
            ready = super().is_ready
            asked_for_result = not getattr(self, "had_callbacks", False)
            if ready and self._exit_code != 0 and self.parsing_result is None and asked_for_result:
                self.parsing_result = DagFileParsingResult(
                    fileloc=self.file, serialized_dags=[], import_errors={self._error_key(): self._reason()}
                )
            return ready

        def _error_key(self) -> str:
            # As Airflow's own parser names the file.
            absolute = _versions.airflow_minor() < _RELATIVE_SINCE
            return self.file if absolute else os.path.relpath(self.file, self.bundle_path)

        def _reason(self) -> str:
            self.reason.seek(0)
            written = self.reason.read().decode("utf-8", "replace")
            return written or f"airtight: parsing this file ended with exit code {self._exit_code} and no result"

    return ContainerProcess


def order(file: str, bundle_path: str, bundle_name: str | None) -> _parsers.Order:
    """How `file` is parsed. Before 3.2 a parser is not told the bundle's name."""
    variables = dict(_crossing.settings())
    labels = {}
    if bundle_name is not None:
        variables.update(_crossing.bundle(bundle_name, bundle_path))
        labels["bundle_name"] = bundle_name
    code = _crossing.code_directories()
    major, minor = _versions.airflow_minor()
    return _parsers.Order(
        file=file,
        program="parsers_v3.py",
        arguments=[f"{major}.{minor}", bundle_path, *code],
        read_only=list(dict.fromkeys([bundle_path, *code])),
        variables=variables,
        labels=labels,
        job={"cpu_seconds": _cpu_seconds()},
    )


def _cpu_seconds() -> int:
    """More than a file can use until the manager's time limit: only what nobody waits for any more reaches it."""
    from airflow.configuration import conf

    limit = conf.getint("dag_processor", "dag_file_processor_timeout", fallback=50)
    return (limit + 1) * (os.cpu_count() or 1)
