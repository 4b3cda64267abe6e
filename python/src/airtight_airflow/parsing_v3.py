"""Airflow 3: makes the DAG processor parse each file in a container.

In: `DagFileProcessorProcess.start`, which forks a child for a file. Out: the same child, become `airtight run` with
the image's own parser inside (`inside/parse_v3.py`); requests, results and log lines go over the descriptors that the
manager made. Nothing else of the manager changes: time limits, SIGKILL and callbacks work on the child's pid. Must
never pull an image: a pull would count against the file's time limit.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

from airtight_airflow import _command, _crossing
from airtight_airflow._target import Target

_MARK = "_airtight"


def install() -> None:
    """Puts the container's target into `DagFileProcessorProcess.start`. May be called any number of times."""
    from airflow.configuration import conf
    from airflow.dag_processing.processor import DagFileProcessorProcess

    original = DagFileProcessorProcess.start
    if hasattr(original.__func__, _MARK):
        return

    @functools.wraps(original.__func__)
    def start(cls: type, *, path: Any, bundle_path: Path, bundle_name: str, **arguments: Any) -> Any:
        arguments["target"] = target(os.fspath(path), os.fspath(bundle_path), bundle_name)
        return original.__func__(cls, path=path, bundle_path=bundle_path, bundle_name=bundle_name, **arguments)

    setattr(start, _MARK, original)
    DagFileProcessorProcess.start = classmethod(start)
    # The manager would import what a file names before it forks: of no use to another Python, and the host may lack it.
    conf.set("dag_processor", "parsing_pre_import_modules", "False")


def target(file: str, bundle_path: str, bundle_name: str) -> Target:
    """What the child that is to parse `file` becomes."""
    variables = {**_crossing.settings(), **_crossing.bundle(bundle_name, bundle_path)}
    code = _crossing.code_directories()
    run = _command.Run(
        profile=_command.DAG_PARSING,
        dag_file=file,
        program="parse_v3.py",
        arguments=code,
        read_only=list(dict.fromkeys([bundle_path, *code])),
        variables=list(variables),
        labels={"dag_file": file, "bundle_name": bundle_name},
    )
    return Target(run, variables, dict(os.environ))
