"""What airtight is asked, and the limits of its answers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from airtight_airflow import _child
from airtight_airflow._command import CommandError


def ask(script: str, **limits: float) -> _child.subprocess.CompletedProcess[str]:
    """The answer of a shell in airtight's place, which is asked for `run`."""
    return _child.ask(["sh", "-c", script], os.environ, **limits)


def is_gone(pid_file: Path) -> bool:
    """Whether the shell that wrote its number there has ended, and was waited for."""
    return not Path("/proc", pid_file.read_text().strip()).exists()


def test_an_answer_has_what_was_said_on_both_streams_and_the_exit_code() -> None:
    done = ask("echo answer; echo complaint >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == ("answer\n", "complaint\n", 3)


def test_an_answer_may_have_as_many_bytes_as_was_said() -> None:
    assert ask("printf 12345", most=5).stdout == "12345"


@pytest.mark.parametrize("stream", [1, 2])
def test_who_says_more_than_that_is_ended(tmp_path: Path, stream: int) -> None:
    with pytest.raises(CommandError, match="it said more than"):
        ask(f"echo $$ > {tmp_path}/pid; exec cat /dev/zero >&{stream}", most=5)
    assert is_gone(tmp_path / "pid")


def test_who_gives_no_answer_is_ended(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="gave no answer within 1 seconds"):
        ask(f"echo $$ > {tmp_path}/pid; exec sleep 1000", seconds=1)
    assert is_gone(tmp_path / "pid")


def test_who_closes_its_output_and_stays_is_ended(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="gave no answer within 1 seconds"):
        ask(f"echo $$ > {tmp_path}/pid; exec sleep 1000 >&- 2>&-", seconds=1)
    assert is_gone(tmp_path / "pid")


def test_who_does_not_end_when_asked_to_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_child, "_CLEANUP_SECONDS", 0)
    process = _child.subprocess.Popen(["sh", "-c", "trap '' TERM; echo; exec sleep 1000"], stdout=-1)
    with process:
        process.stdout.readline()
        _child.end(process, stop_seconds=0.1)
    assert process.returncode == -signal.SIGKILL
