"""Airflow 3: makes the DAG processor parse each file in a container.

In: `DagFileProcessorProcess.start`, which forks a child for a file. Out: no child of the manager's, but a process in a
warm container (`_container_process.py`, `_parsers.py`, `inside/parsers_v3.py`), which has the descriptors that the
child would have had; requests, results and log lines go over them. Must never pull an image: a pull would count against
the file's time limit. Nor may the manager itself import what a file names.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

from airtight_airflow import _command, _container_process, _crossing, _parsers, _versions

_MARK = "_airtight"


def install() -> None:
    """Puts the container's process into `DagFileProcessorProcess.start`. May be called any number of times."""
    from airflow.dag_processing import processor

    original = processor.DagFileProcessorProcess.start
    if hasattr(original.__func__, _MARK):
        return

    @functools.wraps(original.__func__)
    def start(cls: type, *, path: Any, bundle_path: Path, **arguments: Any) -> Any:
        file, bundle = os.fspath(path), os.fspath(bundle_path)
        # It comes as Airflow's own came, through DagFileProcessorProcess.start to the start of a supervised process.
        arguments["target"] = _starter(file, bundle, arguments.get("bundle_name"))
        process = original.__func__(_container_process.type_(), path=path, bundle_path=bundle_path, **arguments)
        process.file, process.bundle_path = file, bundle
        return process

    setattr(start, _MARK, original)
    processor.DagFileProcessorProcess.start = classmethod(start)
    # The manager would import what a file names before it forks, from PYTHONPATH too. The setting for that would lose
    # to an environment variable.
    processor._pre_import_airflow_modules = lambda file_path, log: None


def _starter(file: str, bundle: str, bundle_name: str | None) -> _container_process.Starter:
    """What cannot be parsed must not end the manager, and with it the parsing of all other files."""
    try:
        keeper = _parsers.keeper(lambda: _crossing.without_secrets(os.environ))
        return functools.partial(_parsers.Parse, keeper, order(file, bundle, bundle_name).packet())
    except (_command.CommandError, OSError) as error:
        return functools.partial(_parsers.Refused, str(error))


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
