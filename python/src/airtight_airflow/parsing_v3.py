"""Airflow 3: makes the DAG processor parse each file in a container.

In: `DagFileProcessorProcess.start`, which forks a child for a file. Out: the same child, which gives its descriptors to
a process in a warm container (`_parsers.py`, `inside/parsers_v3.py`) and ends as that one ends; requests, results and
log lines go over the descriptors that the manager made. Nothing else of the manager changes: its time limit and SIGKILL
of the child reach the container, since the child's end is the process's end. Where there was no container (the image is
missing, a setting is refused), that is an import error of the file, which people look at. Must never pull an image: a
pull would count against the file's time limit. Nor may the manager itself import what a file names.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from airtight_airflow import _crossing, _parsers, _versions
from airtight_airflow._target import log_descriptor

_MARK = "_airtight"
# The minor version from which on import errors are kept by the path within the bundle.
_RELATIVE_SINCE = (3, 1)


def install() -> None:
    """Puts the container's target into `DagFileProcessorProcess.start`. May be called any number of times."""
    from airflow.dag_processing import processor

    original = processor.DagFileProcessorProcess.start
    if hasattr(original.__func__, _MARK):
        return

    @functools.wraps(original.__func__)
    def start(cls: type, *, path: Any, bundle_path: Path, **arguments: Any) -> Any:
        file, bundle = os.fspath(path), os.fspath(bundle_path)
        keeper = _parsers.keeper(lambda: _crossing.without_secrets(os.environ))
        packet = order(file, bundle, arguments.get("bundle_name")).packet()
        # The child writes into it why there is no result.
        reason = open(os.memfd_create("airtight-reason"), "w+b", buffering=0)  # noqa: SIM115
        arguments["target"] = functools.partial(parse, keeper.socket, packet, reason)
        process = original.__func__(_processor_class(), path=path, bundle_path=bundle_path, **arguments)
        process.file, process.bundle_path, process.reason = file, bundle, reason
        return process

    setattr(start, _MARK, original)
    processor.DagFileProcessorProcess.start = classmethod(start)
    # The manager would import what a file names before it forks, from PYTHONPATH too. The setting for that would lose
    # to an environment variable.
    processor._pre_import_airflow_modules = lambda file_path, log: None


def parse(keeper: socket.socket, packet: bytes, reason: BinaryIO) -> NoReturn:
    """What the manager's child does; an error here is shown by the manager as the child's."""
    end = _parsers.Parse(keeper, packet, [0, 1, 2, log_descriptor()]).wait()
    why = end.explain()
    if why is not None:
        reason.write(json.dumps({"why": why, "lost": end.lost is not None}).encode())
        # Into the log of the file: callbacks have no import errors.
        with contextlib.suppress(OSError):
            os.write(2, f"{why}\n".encode())
    end.end_alike()


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
            if ready and not self.reason.closed:
                self._conclude()
            return ready

        def close(self) -> None:
            """What the manager of 3.3 does with a process that it needs no more, or has killed."""
            super().close()
            self._let_go()

        def _conclude(self) -> None:
            self.reason.seek(0)
            said = json.loads(self.reason.read() or "{}")
            self._let_go()
            is_forgiven = _parsers.is_forgiven(self.file, said.get("lost", False))
            _parsers.remember(self.file, is_forgiven)
            asked_for_result = not getattr(self, "had_callbacks", False)
            if self._exit_code != 0 and self.parsing_result is None and asked_for_result and not is_forgiven:
                unknown = f"airtight: parsing this file ended with exit code {self._exit_code} and no result"
                self.parsing_result = DagFileParsingResult(
                    fileloc=self.file,
                    serialized_dags=[],
                    import_errors={self._error_key(): said.get("why", unknown)},
                )

        def _let_go(self) -> None:
            # The manager's objects form cycles, which may live long.
            self.reason.close()
            self.stdin.close()

        def _error_key(self) -> str:
            # As Airflow's own parser names the file.
            absolute = _versions.airflow_minor() < _RELATIVE_SINCE
            return self.file if absolute else os.path.relpath(self.file, self.bundle_path)

    return ContainerProcess


def order(file: str, bundle_path: str, bundle_name: str | None) -> _parsers.Order:
    """How `file` is parsed. Before 3.2 a parser is not told the bundle's name."""
    from airflow.configuration import conf

    limit = conf.getint("dag_processor", "dag_file_processor_timeout", fallback=50)
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
        job={"cpu_seconds": _parsers.cpu_seconds(limit)},
    )
