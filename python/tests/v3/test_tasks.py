"""The real scheduler and LocalExecutor of Airflow 3 run tasks in their containers."""

from __future__ import annotations

import json

from conftest import Airflow


def run_dag(airflow: Airflow, dag_id: str) -> str:
    """Parses, triggers and runs a DAG to its end; its state."""
    airflow.parse_all()
    airflow.run("dags", "unpause", dag_id)
    airflow.run("dags", "trigger", dag_id, "--run-id", "test")
    with airflow.component("api-server"), airflow.component("scheduler"):
        return airflow.wait_for("select state from dag_run where dag_id = ?", dag_id, wanted={"success", "failed"})


def xcom(airflow: Airflow, task_id: str) -> list:
    """What a task returned, of each map index."""
    query = "select value from xcom where task_id = ? and key = 'return_value' order by map_index"
    return [json.loads(value) for (value,) in airflow.ask(query, task_id)]


def test_tasks_run_in_containers_to_success_without_network_or_secrets(airflow: Airflow) -> None:
    airflow.add_dags("chain.py")
    airflow.run("variables", "set", "two", "2")
    state = run_dag(airflow, "chain")
    assert state == "success", airflow.task_logs("chain") + airflow.logs()

    assert xcom(airflow, "double") == [42]
    assert xcom(airflow, "mapped") == [1, 4]
    assert xcom(airflow, "interfaces") == [["lo"]]
    assert xcom(airflow, "secrets") == [[]]
    assert "a line on stdout, in a container" in airflow.task_logs("chain")
