"""What the DAG processor makes of the end of a file's process: an import error, another turn, lines in its log.

Airflow's own classes are stand-ins here; tests/v2 and tests/v3 have the real ones.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from io import StringIO
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from airtight_airflow import _parsers, parsing_v2, parsing_v3

FILE = "/dags/a.py"
LOST = _parsers.End(lost="the container ended")
FAILED = _parsers.End(failed="no image")


class Ended(BaseException):
    """The process would be gone now."""


class Process3:
    """Airflow 3's `DagFileProcessorProcess` of a file that has ended."""

    parsing_result: Any = None
    had_callbacks = False
    is_ready = True
    _exit_code = 1
    closed = False

    @classmethod
    def start(cls, **given: Any) -> Process3:
        process = cls()
        process.stdin = socket.socket()
        return process

    def close(self) -> None:
        self.closed = True


class Process2:
    """Airflow 2's."""

    file_path = FILE
    exit_code = 0
    result: Any = None

    def __init__(self, *given: Any) -> None:
        pass


@pytest.fixture(autouse=True)
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The stand-ins; the module of Airflow's processes."""
    processor = ModuleType("airflow.dag_processing.processor")
    processor.DagFileProcessorProcess = Process3
    processor.DagFileParsingResult = SimpleNamespace
    processor._pre_import_airflow_modules = lambda file_path, log: pytest.fail("the host imports")
    package = ModuleType("airflow.dag_processing")
    package.processor = processor
    root = ModuleType("airflow")
    root.__version__ = "3.3.2"
    for module in (root, package, processor):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(_parsers, "_lost", set())
    parsing_v3._processor_class.cache_clear()
    yield processor
    parsing_v3._processor_class.cache_clear()


def process_3(end: _parsers.End, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The manager's side of a file in Airflow 3 whose child has ended so."""

    def ended(self: _parsers.End) -> None:
        raise Ended

    process = parsing_v3._processor_class().start()
    process.file, process.bundle_path = FILE, "/dags"
    process.reason = open(os.memfd_create("reason"), "w+b", buffering=0)  # noqa: SIM115
    monkeypatch.setattr(_parsers, "Parse", lambda *_: SimpleNamespace(wait=lambda: end))
    monkeypatch.setattr(_parsers.End, "end_alike", ended)
    monkeypatch.setattr(parsing_v3, "log_descriptor", lambda: 3)
    with pytest.raises(Ended):
        parsing_v3.parse(None, b"", process.reason)
    return process


def errors_3(end: _parsers.End, monkeypatch: pytest.MonkeyPatch) -> dict[str, str] | None:
    """Import errors of a file that ended so; nothing where there is no result at all."""
    process = process_3(end, monkeypatch)
    # Asked for it twice, it says the same.
    assert process.is_ready and process.is_ready
    return process.parsing_result and process.parsing_result.import_errors


def test_a_file_that_is_lost_is_forgiven_once_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    why = {"a.py": "airtight: this file was not parsed: the container ended"}
    assert errors_3(LOST, monkeypatch) is None
    assert errors_3(LOST, monkeypatch) == why
    assert errors_3(LOST, monkeypatch) is None
    assert errors_3(_parsers.End(code=0), monkeypatch) is not None
    assert errors_3(LOST, monkeypatch) is None


def test_a_file_that_has_failed_has_an_import_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert errors_3(FAILED, monkeypatch) == {"a.py": "airtight: this file was not parsed: no image"}
    # Whatever code it ends with.
    assert "exit code 122" in str(errors_3(_parsers.End(code=_parsers.LOST), monkeypatch))


def test_why_callbacks_were_not_called_is_in_the_log_of_the_file(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Process3, "had_callbacks", True)
    assert errors_3(FAILED, monkeypatch) is None
    assert capfd.readouterr().err == "airtight: this file was not parsed: no image\n"


def test_a_process_that_is_done_holds_no_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    process = process_3(FAILED, monkeypatch)
    assert process.is_ready
    assert process.reason.closed and process.stdin.fileno() == -1
    killed = process_3(FAILED, monkeypatch)
    killed.close()
    assert killed.closed and killed.reason.closed and killed.stdin.fileno() == -1


def test_the_manager_imports_nothing_that_a_file_names(airflow: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    # Undone afterwards.
    monkeypatch.setattr(Process3, "start", Process3.__dict__["start"])
    parsing_v3.install()
    assert airflow._pre_import_airflow_modules("/dags/a.py", None) is None


def parse_2(end: _parsers.End, airflow: ModuleType, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[str]]:
    """What a file's process in Airflow 2 sends to the manager that ended so, and the import errors it records."""
    recorded: list[str] = []
    sent: list[Any] = []

    def ended(self: _parsers.End) -> None:
        raise Ended

    monkeypatch.setattr(_parsers.End, "end_alike", ended)
    monkeypatch.setattr(parsing_v2, "_contain", lambda *_: (end, b""))
    monkeypatch.setattr(parsing_v2, "_log_stream", lambda _: StringIO())
    monkeypatch.setattr(parsing_v2, "_record_import_error", lambda file, folder, why: recorded.append(why))
    monkeypatch.setattr(parsing_v2.signal, "signal", lambda *_: None)
    monkeypatch.setattr(airflow, "DagFileProcessorProcess", Process2)
    monkeypatch.setattr(_parsers, "keeper", lambda _: None)
    process = parsing_v2._create_contained_process(FILE, False, None, "/dags", [])
    channel = SimpleNamespace(send=sent.append, close=lambda: None)
    with pytest.raises(Ended):
        process._run_file_processor(channel, channel, FILE, False, None, "thread", "/dags", [])
    monkeypatch.setattr(Process2, "result", sent[0] if sent else None)
    monkeypatch.setattr(Process2, "exit_code", _parsers.LOST if end.lost else 0)
    # The manager asks more than once.
    assert process.result == process.result
    return process.result, recorded


def test_airflow_2_forgives_a_lost_file_once_in_a_row(airflow: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    why = "airtight: this file was not parsed: the container ended"
    assert parse_2(LOST, airflow, monkeypatch) == (None, [])
    assert parse_2(LOST, airflow, monkeypatch) == ((0, 1, 0), [why])
    assert parse_2(LOST, airflow, monkeypatch) == (None, [])
    assert parse_2(FAILED, airflow, monkeypatch)[0] == (0, 1, 0)
    assert parse_2(LOST, airflow, monkeypatch) == (None, [])


def test_a_long_explanation_is_cut() -> None:
    assert len(_parsers.End(failed="x" * 100_000).explain()) == 16 * 1024
