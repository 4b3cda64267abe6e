"""What the DAG processor makes of the end of a file's process: an import error, another turn, lines in its log.

Airflow's own classes are stand-ins here; tests/v2 and tests/v3 have the real ones.
"""

from __future__ import annotations

import functools
import os
import selectors
import signal
import socket
import sys
from collections.abc import Iterator
from io import StringIO
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from airtight_airflow import _container_process, _parsers, parsing_v2, parsing_v3

FILE = "/dags/a.py"
LOST = _parsers.End(lost="the container ended")
FAILED = _parsers.End(failed="no image")


class Ended(BaseException):
    """The process would be gone now."""


class Watched:
    """Airflow 3's `WatchedSubprocess`."""

    __slots__ = ("__dict__",)

    def __init__(self, **given: Any) -> None:
        vars(self).update(given)
        self._process = given["process"]
        self._exit_code: int | None = None

    def _register_pipe_readers(self, *sockets: socket.socket) -> None:
        self.sockets, self.read = sockets, []
        for each in sockets:
            self.selector.register(each, selectors.EVENT_READ, (self._take, self.selector.unregister))

    def _take(self, each: socket.socket) -> bool:
        self.read.append(each.recv(100))
        return self.read[-1] != b""


class Process3(Watched):
    """Airflow 3's `DagFileProcessorProcess` of a file."""

    parsing_result: Any = None
    had_callbacks = False

    @classmethod
    def start(cls, **given: Any) -> Any:
        return super().start(**given)

    def _on_child_started(self, callbacks: list[str]) -> None:
        raise BrokenPipeError

    @property
    def is_ready(self) -> bool:
        try:
            self._exit_code = self._process.wait(timeout=0)
        except self._process.TimeoutExpired:
            return False
        return True

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
    supervisor = ModuleType("airflow.sdk.execution_time.supervisor")
    supervisor.WatchedSubprocess = Watched
    root = ModuleType("airflow")
    root.__version__ = "3.3.2"
    for module in (root, package, processor, supervisor):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(_parsers, "_lost", set())
    _container_process.type_.cache_clear()
    yield processor
    _container_process.type_.cache_clear()


class Parse:
    """A file that is being parsed, of which the manager will hear."""

    def __init__(self, end: _parsers.End) -> None:
        self.pid = 7
        self.end = end
        self.control, self.theirs = socket.socketpair()
        self.descriptors: list[int] = []
        self.given_up = False

    def __call__(self, descriptors: list[int]) -> Parse:
        self.descriptors = [os.dup(number) for number in descriptors]
        return self

    def wait(self) -> _parsers.End:
        return self.end

    def give_up(self) -> None:
        self.given_up = True
        self.theirs.close()


class Log:
    """A logger of structlog's."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def error(self, text: str) -> None:
        self.errors.append(text)


def started_3(parse: Any, callbacks: list[str] = []) -> Any:  # noqa: B006
    """The manager's side of a file in Airflow 3 that is being parsed."""
    process = _container_process.type_().start(target=parse, logger=Log(), selector=selectors.DefaultSelector())
    process.file, process.bundle_path = FILE, "/dags"
    # There is nobody to read it.
    process._on_child_started(callbacks)
    return process


def turn(process: Any) -> None:
    """The manager's loop hears of what there is."""
    for key, _ in process.selector.select(timeout=10):
        handler, on_close = key.data
        if not handler(key.fileobj):
            on_close(key.fileobj)


def process_3(end: _parsers.End, callbacks: list[str] = []) -> Any:  # noqa: B006
    """The manager's side of a file that has ended so."""
    parse = Parse(end)
    process = started_3(parse, callbacks)
    assert not process.is_ready
    parse.theirs.close()
    turn(process)
    return process


def errors_3(end: _parsers.End) -> dict[str, str] | None:
    """Import errors of a file that ended so; nothing where there is no result at all."""
    process = process_3(end)
    # Asked for it twice, it says the same.
    assert process.is_ready and process.is_ready
    return process.parsing_result and process.parsing_result.import_errors


def test_a_file_that_is_lost_is_forgiven_once_in_a_row() -> None:
    why = {"a.py": "airtight: this file was not parsed: the container ended"}
    assert errors_3(LOST) is None
    assert errors_3(LOST) == why
    assert errors_3(LOST) is None
    assert errors_3(_parsers.End(code=1)) is not None
    assert errors_3(LOST) is None


def test_a_file_that_has_failed_has_an_import_error_at_once() -> None:
    assert errors_3(FAILED) == {"a.py": "airtight: this file was not parsed: no image"}
    # Whatever code it ends with.
    assert "exit code 122" in str(errors_3(_parsers.End(code=_parsers.LOST)))
    assert "killed by SIGSEGV" in str(errors_3(_parsers.End(signal=11)))
    # Then what is missing is Airflow's to miss.
    assert errors_3(_parsers.End(code=0)) is None


def test_the_dags_of_a_file_that_is_forgiven_are_not_taken_for_stale() -> None:
    process = process_3(LOST)
    # The manager then leaves the time of the file's last parse alone.
    assert process.is_ready and process.had_callbacks


def test_a_file_that_cannot_be_asked_for_is_one_that_has_failed() -> None:
    process = started_3(functools.partial(_parsers.Refused, "a name with a comma"))
    turn(process)
    assert process.is_ready
    assert process.parsing_result.import_errors == {"a.py": "airtight: this file was not parsed: a name with a comma"}


def test_why_callbacks_were_not_called_is_in_the_log_of_the_file() -> None:
    process = process_3(FAILED, ["called back"])
    assert process.is_ready and process.parsing_result is None
    assert process.process_log.errors == ["airtight: this file was not parsed: no image"]


def test_the_end_of_a_process_is_as_airflow_knows_it() -> None:
    code = process_3(_parsers.End(signal=9))._process.wait(timeout=0)
    assert (code, code.name) == (-9, "SIGKILL")
    assert process_3(_parsers.End(code=3))._process.wait(timeout=0) == 3
    assert process_3(LOST)._process.wait(timeout=0) == _parsers.LOST


def test_a_process_that_the_manager_kills_is_dead_at_once() -> None:
    parse = Parse(_parsers.End(code=0))
    process = started_3(parse)
    for number in parse.descriptors:
        os.write(number, b"before")
    process._process.send_signal(signal.SIGTERM)
    assert parse.given_up and process.is_ready and process._exit_code == -signal.SIGTERM
    # Its lines are read to where it was killed; what it asked for is not.
    assert process.read == [b"before", b""] * 3
    for number in parse.descriptors:
        with pytest.raises(BrokenPipeError):
            os.write(number, b"after")
    # What is said later changes nothing.
    turn(process)
    assert process._process.wait(timeout=0) == -signal.SIGTERM and not process.selector.get_map()


def test_the_manager_keeps_no_descriptors_but_its_own() -> None:
    parse = Parse(FAILED)
    process = started_3(parse)
    process.selector = selectors.DefaultSelector()
    requests, stdout, stderr, logs = parse.descriptors
    for number in parse.descriptors:
        os.write(number, b"%d" % number)
    read = [each.recv(10) for each in process.sockets]
    assert read == [b"%d" % number for number in (stdout, stderr, requests, logs)]
    for number in parse.descriptors:
        os.close(number)
    # The program's ends were the last.
    assert [each.recv(10) for each in process.sockets] == [b""] * 4
    process.close()
    assert process.closed and process.stdin.fileno() == -1


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
