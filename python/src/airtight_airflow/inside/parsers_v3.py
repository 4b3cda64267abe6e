"""Parses DAG files with the image's own Airflow 3, each in a fork.

`parsers_v3.py SOCKET HOST_MINOR BUNDLE [CODE_DIRECTORY…]`: the bundle is a directory of authors', the others are the
operator's. In: on SOCKET jobs `{"file": PATH}` (`_forks.py`) with descriptors 0, a socket to the DAG processor's
manager on the host (which file, answers to requests), 1, 2, and 3 for JSON log lines. Out: the parsing result on 0.
Must never write to it otherwise, nor answer a manager that is older than the image: it asks less than is needed and may
not understand the result.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from socket import socket
from typing import Any

import _ahead
import _forks
import _paths
import _prepare

# Beside what they import themselves, what the first file would load in its fork: python3 -X importtime.
_NEEDED = (
    "airflow.api.common.trigger_dag",
    "airflow.dag_processing.dagbag",
    "airflow.models.dagbag",
    "airflow.models.dagwarning",
    "airflow.models.serialized_dag",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.providers.standard.sensors.external_task",
    "airflow.sdk._shared.logging.factory",
    "airflow.sdk.definitions.decorators",
    "airflow.sdk.execution_time.task_runner",
    "airflow.sdk.log",
    "airflow.serialization.serialized_objects",
    "airflow.utils.file",
    "asgiref.sync",
    "faulthandler",
)


def main() -> None:
    """Serves until the socket ends."""
    _paths.start_again()
    channel, host, bundle, code_directories = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
    # What DAG files see is this program's.
    del sys.argv[1:]
    _forks.serve(channel, lambda: load(host, bundle, code_directories))


def load(host: str, bundle: str, code_directories: list[str]) -> _forks.Parser:
    """Imports the image's Airflow."""
    _paths.begin([bundle])
    _prepare.prepare(code_directories)
    if why := _prepare.refusal(host):
        raise _forks.Refused(why)

    from airflow.dag_processing.processor import _parse_file_entrypoint
    from airflow.sdk.execution_time.supervisor import _fork_main

    for name in _NEEDED:
        # Airflow before 3.3 has not all of them.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)

    def run(job: dict[str, Any]) -> int:
        _paths.give_back()
        # As the manager's own child; ends the process.
        _fork_main(socket(fileno=0), socket(fileno=1), socket(fileno=2), 3, _parse_file_entrypoint)

    _paths.loaded()
    return _forks.Parser(run, lambda job: _ahead.import_ahead(job["file"]))


if __name__ == "__main__":
    main()
