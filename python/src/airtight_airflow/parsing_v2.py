"""Airflow 2.10 and 2.11: makes the DAG processor parse each file in a container.

In: `DagFileProcessorManager._create_process`, which makes one process per file. Out: the same process, which has a
process in a warm container do its work (`_parsers.py`, `inside/parsers_v2.py`) and ends as that one ends: there, the
image's own Airflow parses the file and writes DAGs, import errors and warnings to the database, as Airflow 2 does. Log
lines come here, and go to Airflow's own file of the DAG file. Killing the process, as the manager does when time is up,
kills the one in the container and all that it started.

What comes back from the container is written by a DAG's author: it is read as three numbers and nothing else, and
never unpickled. Must never pull an image: a pull would count against the file's time limit.
"""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import select
import signal
import sys
from collections.abc import Sequence
from typing import IO, Any, NoReturn

from airtight_airflow import _parsers, _versions

# Three numbers; more than this is no result.
_MAX_RESULT = 200

_PIECE_BYTES = 64 * 1024

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

    # Its socket is for the processes that the manager forks.
    keeper = _parsers.keeper(lambda: os.environ)

    class ContainedDagFileProcessorProcess(DagFileProcessorProcess):
        """The process for one file, whose work is done in a container."""

        def import_modules(self, file_path: Any) -> None:
            """Nothing: what the host imports is of no use to the image's Python, and the host may lack it."""

        def _get_multiprocessing_context(self) -> Any:
            """Forks, whatever `[core] mp_start_method` says: the process holds the keeper's socket."""
            return multiprocessing.get_context("fork")

        @staticmethod
        def _run_file_processor(result_channel: Any, parent_channel: Any, *job: Any) -> None:
            parent_channel.close()
            _run(keeper, result_channel, *job)

        @property
        def result(self) -> Any:
            """What the manager asks for when the process has ended."""
            result = super().result
            _parsers.remember(self.file_path, result is None and self.exit_code == _parsers.LOST)
            return result

    return ContainedDagFileProcessorProcess(file_path, pickle_dags, dag_ids, dag_directory, callback_requests)


def _run(
    keeper: _parsers.Keeper,
    result_channel: Any,
    file_path: str,
    pickle_dags: bool,
    dag_ids: Sequence[str] | None,
    thread_name: str,
    dag_directory: str,
    callback_requests: Sequence[Any],
) -> NoReturn:
    """Runs in the process that the manager forked; it ends as the one in the container ended."""
    # The manager's own handlers, which this process has inherited, would only keep it from ending.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    asked = {
        "file_path": file_path,
        "pickle_dags": pickle_dags,
        "dag_ids": dag_ids,
        "thread_name": thread_name,
        "dag_directory": dag_directory,
        "callback_requests": [[type(request).__name__, request.to_json()] for request in callback_requests],
    }
    log = _log_stream(file_path)
    end, answer = _contain(keeper, file_path, json.dumps(asked).encode(), log)
    result, why = _numbers(answer), end.explain()
    if result is None and why is not None:
        log.write(f"{why}\n")
        log.flush()
        if not _parsers.is_forgiven(file_path, end.lost is not None):
            _record_import_error(file_path, dag_directory, why)
            result = (0, 1, 0)
    if result is not None:
        result_channel.send(result)
    result_channel.close()
    end.end_alike()


def _contain(keeper: _parsers.Keeper, file_path: str, asked: bytes, log: IO[str]) -> tuple[_parsers.End, bytes]:
    """How the process in the container ended, and the beginning of what it answered; its lines go to `log`."""
    from airflow import settings
    from airflow.configuration import conf

    limit = conf.getint("core", "dag_file_processor_timeout", fallback=50)
    major, minor = _versions.airflow_minor()
    order = _parsers.Order(
        file=file_path,
        program="parsers_v2.py",
        arguments=[f"{major}.{minor}", settings.DAGS_FOLDER],
        # Lines come to us, and from us they go where Airflow wants them.
        variables={"AIRFLOW__LOGGING__DAG_PROCESSOR_LOG_TARGET": "stdout"},
        airflow_2=True,
        job={"cpu_seconds": _parsers.cpu_seconds(limit)},
    )
    question = os.memfd_create("airtight-question")
    os.write(question, asked)
    os.lseek(question, 0, os.SEEK_SET)
    lines, line_writer = os.pipe()
    answers, answer_writer = os.pipe()
    descriptors = [question, line_writer, line_writer, answer_writer]
    parse = _parsers.Parse(keeper, order.packet(), descriptors)
    for number in {*descriptors}:
        os.close(number)
    poll = select.poll()
    poll.register(parse.control, select.POLLIN)
    for number in (lines, answers):
        poll.register(number, select.POLLIN)
        os.set_blocking(number, False)
    answer = b""
    end = None
    while end is None:
        # The end comes last: everything that was written before it is there to be read.
        if parse.control.fileno() in {number for number, _ in poll.poll()}:
            end = parse.wait()
        answer += _read(answers, poll)[: _MAX_RESULT + 1 - len(answer)]
        while piece := _read(lines, poll):
            log.write(piece.decode("utf-8", "replace"))
            if end is None:
                break
        log.flush()
    return end, answer


def _read(pipe: int, poll: select.poll) -> bytes:
    """What there is to be read at once, up to a piece: whoever writes may never stop."""
    piece = b""
    # The end of it is heard of once.
    with contextlib.suppress(BlockingIOError, KeyError):
        piece = os.read(pipe, _PIECE_BYTES)
        if not piece:
            poll.unregister(pipe)
    return piece


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


def _record_import_error(file_path: str, dag_directory: str, why: str) -> None:
    """An import error of the file: there is no container that could write one."""
    from airflow import settings
    from airflow.dag_processing.processor import DagFileProcessor
    from airflow.utils import timezone

    # The connections are the manager's.
    settings.configure_orm()
    try:
        DagFileProcessor.update_import_errors(
            file_last_changed={file_path: timezone.utcnow()},
            import_errors={file_path: why},
            processor_subdir=dag_directory,
        )
    finally:
        settings.dispose_orm()
