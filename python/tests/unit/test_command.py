"""The command line that starts a container, and the refusals before there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from airtight_airflow import _command, _versions


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An airtight on PATH."""
    program = tmp_path / "airtight"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def run(**changes: object) -> _command.Run:
    """A run of a DAG file, with what the test is about."""
    fields = {"profile": _command.TASK_EXECUTION, "dag_file": "/dags/a.py", "program": "task_v3.py", **changes}
    return _command.Run(**fields)


def test_the_program_runs_by_the_images_own_python_from_a_read_only_mount() -> None:
    words = _command.argv(run(arguments=["7"]))
    assert words[-5:] == ["--entrypoint", "python3", "--", "/opt/airtight_airflow/task_v3.py", "7"]
    (mount,) = [word for word in words if word.startswith("type=bind")]
    assert mount.endswith("/inside,target=/opt/airtight_airflow,readonly")


def test_variables_are_named_and_their_values_stay_off_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hush")
    monkeypatch.setenv("COLOUR", "green")
    words = _command.argv(run(variables=["COLOUR"], secrets=["TOKEN"]))
    assert words[words.index("-e") + 1] == "COLOUR"
    assert words[words.index("--private-env") + 1] == "TOKEN"
    assert not {"hush", "green"} & set(" ".join(words).split())


def test_a_path_that_would_break_a_mount_in_two_is_refused() -> None:
    with pytest.raises(_command.CommandError, match="comma"):
        _command.argv(run(read_only=["/dags,target=/etc"]))


def test_without_airtight_the_message_says_where_it_was_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(_command.CommandError, match=r"no airtight at .* or on PATH"):
        _command.argv(run())


@pytest.mark.parametrize(
    ("version", "minor"), [("2.10.5", (2, 10)), ("2.11.2", (2, 11)), ("3.0.6", (3, 0)), ("3.3.2rc1", (3, 3))]
)
def test_known_versions_of_airflow(version: str, minor: tuple[int, int]) -> None:
    assert _versions.minor_of(version) == minor


@pytest.mark.parametrize("version", ["2.9.3", "3.4.0", "3.10.0", "4.0.0", "main"])
def test_an_unknown_version_of_airflow_is_refused_with_the_known_ones(version: str) -> None:
    with pytest.raises(_versions.UnknownAirflowError, match=r"2\.10, 2\.11, 3\.0"):
        _versions.minor_of(version)
