"""By which labels a task's container is found, and by which key there is one of it."""

from __future__ import annotations

from types import SimpleNamespace

from airtight_airflow import tasks_v3


def test_a_container_says_which_task_instance_it_is() -> None:
    instance = SimpleNamespace(dag_id="d", task_id="t", run_id="r", try_number=2, map_index=-1, pool_slots=1)
    assert tasks_v3._labels(instance) == {
        "dag_id": "d",
        "task_id": "t",
        "run_id": "r",
        "try_number": "2",
        "map_index": "-1",
    }


def test_each_try_of_a_task_instance_has_a_key_of_its_own() -> None:
    instance = SimpleNamespace(dag_id="d", task_id="t", run_id="r", try_number=2, map_index=-1)
    assert tasks_v3._key(instance) == ["--key=d/t/r/-1/2"]
    assert tasks_v3._key(SimpleNamespace(dag_id="d")) == []
