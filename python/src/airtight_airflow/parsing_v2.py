"""Airflow 2.10 and 2.11: makes the DAG processor parse each file in a container.

In: `DagFileProcessorManager._create_process`, which makes one process per file. Out: the same process, which starts
`airtight run` and waits: in the container the image's own Airflow parses the file and writes DAGs, import errors and
warnings to the database, as Airflow 2 does. Log lines go to Airflow's own file of the DAG file. Killing the process, as
the manager does when time is up, kills everything inside: `--as-payload` dies with its caller.

What comes back from the container is written by a DAG's author: it is read as three numbers and nothing else, and
never unpickled. Must never pull an image: a pull would count against the file's time limit.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from typing import IO, Any

from airtight_airflow import _command

# What `airtight run --as-payload` exits with where it failed itself.
FAILED = 121

# Three numbers; more than this is no result.
_MAX_RESULT = 200

# Of what a container and airtight say on stderr, how many lines an import error shows.
_LAST_LINES = 30

_NAME = "_create_contained_process"


def install() -> None:
    """Puts the container's process into `DagFileProcessorManager`. May be called any number of times."""
    from airflow.dag_processing.manager import DagFileProcessorManager

    if DagFileProcessorManager._create_process.__name__ != _NAME:
        DagFileProcessorManager._create_process = staticmethod(_create_contained_process)


def _create_contained_process(
    file_path: str, pickle_dags: bool, dag_ids: Any, dag_directory: str, callback_requests: Any
) -> Any:
    from airflow.dag_processing.processor import DagFileProcessorProcess

    class ContainedDagFileProcessorProcess(DagFileProcessorProcess):
        """The process for one file, whose work is done in a container."""

        def import_modules(self, file_path: Any) -> None:
            """Nothing: what the host imports is of no use to the image's Python, and the host may lack it."""

        @staticmethod
        def _run_file_processor(result_channel: Any, parent_channel: Any, *job: Any) -> None:
            parent_channel.close()
            _run(result_channel, *job)

    return ContainedDagFileProcessorProcess(file_path, pickle_dags, dag_ids, dag_directory, callback_requests)


def _run(
    result_channel: Any,
    file_path: str,
    pickle_dags: bool,
    dag_ids: Sequence[str] | None,
    thread_name: str,
    dag_directory: str,
    callback_requests: Sequence[Any],
) -> None:
    """Runs in the process that the manager forked; it ends as the container ended."""
    # The manager's own handlers, which this process has inherited, would only keep it from ending.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    job = {
        "file_path": file_path,
        "pickle_dags": pickle_dags,
        "dag_ids": dag_ids,
        "thread_name": thread_name,
        "dag_directory": dag_directory,
        "callback_requests": [[type(request).__name__, request.to_json()] for request in callback_requests],
    }
    log = _log_stream(file_path)
    code, result, said = _contain(file_path, json.dumps(job), log)
    if code == FAILED:
        _record_import_error(file_path, dag_directory, said)
        result = result or (0, 1, 0)
    if result is not None:
        result_channel.send(result)
    result_channel.close()
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)


def _contain(file_path: str, job: str, log: IO[str]) -> tuple[int, tuple[int, int, int] | None, str]:
    """How airtight ended, the container's result, and the last lines on stderr."""
    ours, theirs = os.pipe()
    try:
        run = _command.Run(
            profile=_command.DAG_PARSING,
            dag_file=file_path,
            program="parse_v2.py",
            arguments=[str(theirs)],
            descriptors=[theirs],
            labels={"dag_file": file_path},
            flags=["--airflow-2"],
        )
        process = subprocess.Popen(
            _command.argv(run),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.PIPE,
            pass_fds=[theirs],
            text=True,
            errors="replace",
            # Lines come to us, and from us they go where Airflow wants them.
            env={**os.environ, "AIRFLOW__LOGGING__DAG_PROCESSOR_LOG_TARGET": "stdout"},
        )
    finally:
        os.close(theirs)
    last: deque[str] = deque(maxlen=_LAST_LINES)

    def read_stderr() -> None:
        for line in process.stderr:
            last.append(line)
            log.write(line)
            log.flush()

    reader = threading.Thread(target=read_stderr, daemon=True)
    reader.start()
    try:
        process.stdin.write(job)
        process.stdin.close()
    except BrokenPipeError:
        # It did not start; its exit code says so.
        pass
    with open(ours, "rb") as answers:
        answer = answers.read(_MAX_RESULT)
    code = process.wait()
    reader.join()
    return code, _numbers(answer), "".join(last)


def _numbers(answer: bytes) -> tuple[int, int, int] | None:
    """DAGs, import errors and database queries, where `answer` is these and nothing else."""
    try:
        numbers = json.loads(answer)
    except ValueError:
        return None
    if isinstance(numbers, list) and len(numbers) == 3 and all(type(number) is int for number in numbers):
        return tuple(numbers)
    return None


def _log_stream(file_path: str) -> IO[str]:
    """Airflow's log file of this DAG file, or stdout where the operator wants it there."""
    from airflow.utils.log.logging_mixin import set_context

    logger = logging.getLogger("airflow.processor")
    set_context(logger, file_path)
    for handler in logger.handlers:
        stream = getattr(getattr(handler, "handler", None), "stream", None)
        if stream is not None:
            return stream
    return sys.stdout


def _record_import_error(file_path: str, dag_directory: str, said: str) -> None:
    """An import error of the file: there is no container that could write one."""
    from airflow import settings
    from airflow.dag_processing.processor import DagFileProcessor
    from airflow.utils import timezone

    # The connections are the manager's.
    settings.configure_orm()
    try:
        DagFileProcessor.update_import_errors(
            file_last_changed={file_path: timezone.utcnow()},
            import_errors={file_path: f"This file's container could not be run:\n{said}"},
            processor_subdir=dag_directory,
        )
    finally:
        settings.dispose_orm()
