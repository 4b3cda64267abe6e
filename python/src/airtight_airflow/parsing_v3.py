"""Airflow 3: makes the DAG processor parse each file in a container.

In: `DagFileProcessorProcess.start`, which forks a child for a file. Out: the same child, become `airtight run` with
the image's own parser inside (`inside/parse_v3.py`); requests, results and log lines go over the descriptors that the
manager made. Nothing else of the manager changes: time limits, SIGKILL and callbacks work on the child's pid. Where
there was no container (the image is missing, a setting is refused), that is an import error of the file, which people
look at. Must never pull an image: a pull would count against the file's time limit.
"""

from __future__ import annotations

import functools
import json
import os
import tempfile
import weakref
from pathlib import Path
from typing import Any

from airtight_airflow import _command, _crossing, _versions
from airtight_airflow._target import Target

_MARK = "_airtight"
# The minor version from which on import errors are kept by the path within the bundle.
_RELATIVE_SINCE = (3, 1)


def install() -> None:
    """Puts the container's target into `DagFileProcessorProcess.start`. May be called any number of times."""
    from airflow.configuration import conf
    from airflow.dag_processing.processor import DagFileProcessorProcess

    original = DagFileProcessorProcess.start
    if hasattr(original.__func__, _MARK):
        return

    @functools.wraps(original.__func__)
    def start(cls: type, *, path: Any, bundle_path: Path, **arguments: Any) -> Any:
        descriptor, verdict = tempfile.mkstemp(prefix="airtight-verdict-")
        os.close(descriptor)
        file, bundle = os.fspath(path), os.fspath(bundle_path)
        arguments["target"] = target(file, bundle, arguments.get("bundle_name"), verdict)
        process = original.__func__(_processor_class(), path=path, bundle_path=bundle_path, **arguments)
        process.file, process.bundle_path, process.verdict = file, bundle, Path(verdict)
        # The manager has several ways of dropping a process; none of them may leave the file behind.
        weakref.finalize(process, process.verdict.unlink, missing_ok=True)
        return process

    setattr(start, _MARK, original)
    DagFileProcessorProcess.start = classmethod(start)
    # The manager would import what a file names before it forks: of no use to another Python, and the host may lack it.
    conf.set("dag_processor", "parsing_pre_import_modules", "False")


@functools.cache
def _processor_class() -> type:
    from airflow.dag_processing.processor import DagFileParsingResult, DagFileProcessorProcess

    class ContainerProcess(DagFileProcessorProcess):
        """The manager's side of one file; has the result of a container that could not be started."""

        file: str
        bundle_path: str
        verdict: Path

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
            try:
                reason = json.loads(self.verdict.read_text())["reason"]
            except (OSError, ValueError, KeyError):
                reason = f"exit code {self._exit_code}; the DAG processor's log of this file may say more"
            failed = self._exit_code == _command.AIRTIGHT_FAILED
            what = "could not be started" if failed else "ended without a result"
            return f"airtight: the container that parses this file {what}: {reason}"

    return ContainerProcess


def target(file: str, bundle_path: str, bundle_name: str | None, verdict: str) -> Target:
    """What the child that is to parse `file` becomes. Before 3.2 a parser is not told the bundle's name."""
    variables = dict(_crossing.settings())
    labels = {"dag_file": file}
    if bundle_name is not None:
        variables.update(_crossing.bundle(bundle_name, bundle_path))
        labels["bundle_name"] = bundle_name
    code = _crossing.code_directories()
    major, minor = _versions.airflow_minor()
    run = _command.Run(
        profile=_command.DAG_PARSING,
        dag_file=file,
        program="parse_v3.py",
        arguments=[f"{major}.{minor}", *code],
        read_only=list(dict.fromkeys([bundle_path, *code])),
        variables=list(variables),
        labels=labels,
        flags=["--verdict", verdict],
    )
    return Target(run, variables, dict(os.environ))
