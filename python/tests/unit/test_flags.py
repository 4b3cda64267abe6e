"""The feature flags, as the installed Airflow reads them."""

from __future__ import annotations

import pytest

from airtight_airflow import _flags


@pytest.mark.parametrize(("value", "on"), [("docker", True), (" docker ", True), ("", False)])
def test_a_flag_is_docker_or_empty(monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__TASK_EXECUTION_RUNTIME", value)
    assert _flags.enabled(_flags.TASKS) is on


def test_a_flag_that_nobody_sets_is_off() -> None:
    assert not _flags.enabled(_flags.PARSING)


def test_a_flag_with_a_mistake_in_it_is_an_error_and_not_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__TASK_EXECUTION_RUNTIME", "dokcer")
    with pytest.raises(_flags.FlagError, match="dokcer: it must be docker, or empty for off"):
        _flags.enabled(_flags.TASKS)
