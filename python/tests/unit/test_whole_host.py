"""The host's side of a task whose supervisor runs in the container: how it ends, and what is believed of it."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from airtight_airflow import _child, _command, _whole

# An airtight that reads the job, and then does what the test is about.
AIRTIGHT = """#!/bin/sh
echo $$ > "$HOME/pid"
cat > /dev/null
verdict=${*##*--verdict=}
verdict=${verdict%% *}
"""
ENDED = (
    """echo '{"cause": "exited", "code": 0, "exit_code": 0, "id": "a1", "memory_peak_bytes": 3145728}' > $verdict\n"""
)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the files of a test are; there is no Airflow."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AIRTIGHT_BIN", str(tmp_path / "airtight"))
    airflow = SimpleNamespace(supervisor=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "airflow.sdk.execution_time", airflow)
    return tmp_path


def run(home: Path, script: str, stop_seconds: float = 10) -> int:
    """A task whose container does what `script` says."""
    (home / "airtight").write_text(AIRTIGHT + script)
    (home / "airtight").chmod(0o755)
    plain = SimpleNamespace(id="1", model_dump=lambda mode: {})
    arguments = {"token": "t", "ti": plain, "dag_rel_path": "a.py", "bundle_info": plain, "server": "http://a"}
    container = _command.Run("task-execution", "/dags/a.py", "whole_v3.py")
    return _whole.run(container, {}, _whole.TaskLog(home / "log"), arguments, stop_seconds)


def said(home: Path) -> list[str]:
    """What airtight says in the task's log."""
    return [json.loads(line)["event"] for line in (home / "log").read_text().splitlines()]


def is_gone(home: Path) -> bool:
    """Whether airtight has ended, and was waited for."""
    return not Path("/proc", (home / "pid").read_text().strip()).exists()


def test_the_tasks_log_says_how_the_container_ended_and_what_it_used(home: Path) -> None:
    assert run(home, ENDED) == 0
    assert said(home) == ["airtight: run a1: it ended with exit code 0, memory peak 3.0 MiB"]


def test_what_the_task_writes_in_airtights_name_does_not_count(home: Path) -> None:
    assert run(home, "echo airtight: all is well >&2\n" + ENDED) == 0
    assert not any("well" in line for line in said(home))


def test_a_failure_is_explained_by_the_verdict_and_the_containers_last_words(home: Path) -> None:
    script = """echo 'no such server' >&2; echo '{"cause": "exited", "code": 3, "exit_code": 3}' > $verdict; exit 3"""
    with pytest.raises(_whole.WholeError, match="it ended with exit code 3: no such server"):
        run(home, script)


def test_without_a_verdict_it_is_airtight_that_was_killed(home: Path) -> None:
    with pytest.raises(_whole.WholeError, match="airtight itself was killed by SIGKILL"):
        run(home, "kill -9 $$")


def test_a_line_without_an_end_is_read_in_pieces(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []
    monkeypatch.setattr(_whole.os, "write", lambda _, piece: pieces.append(len(piece)))
    run(home, f"head -c 100000 /dev/zero >&2; {ENDED}")
    assert sum(pieces) == 100_000 and max(pieces) == _whole._LINE_BYTES


def test_a_worker_whose_stderr_cannot_be_written_runs_the_task_to_its_end(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(_whole.os, "write", broken)
    assert run(home, f"echo a line >&2; {ENDED}") == 0


def test_a_log_that_cannot_be_written_does_not_change_how_a_task_ended(home: Path) -> None:
    (home / "log").mkdir()
    _whole.TaskLog(home / "log").say("info", "a line")


@pytest.mark.parametrize("script", ["echo >&2; exec sleep 1000", "trap '' TERM; echo >&2; exec sleep 1000"])
def test_whatever_goes_wrong_here_the_container_has_ended_when_that_is_known(
    home: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    def out_of_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(_whole.os, "write", out_of_memory)
    monkeypatch.setattr(_child, "_CLEANUP_SECONDS", 0)
    with pytest.raises(MemoryError):
        run(home, script, stop_seconds=0.5)
    assert is_gone(home)


def test_a_signal_handler_that_is_not_pythons_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(signal, "getsignal", lambda number: None if number == signal.SIGTERM else before)
    installed: list[int] = []
    monkeypatch.setattr(signal, "signal", lambda number, _: installed.append(number) or before)
    assert run(home, ENDED) == 0
    assert installed == [signal.SIGINT, signal.SIGINT]


def test_no_descriptor_stays_open(home: Path) -> None:
    before = os.listdir("/proc/self/fd")
    run(home, ENDED)
    assert os.listdir("/proc/self/fd") == before
