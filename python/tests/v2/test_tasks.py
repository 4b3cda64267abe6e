"""The real scheduler of Airflow 2 runs tasks in their containers, by airtight called as `airflow`."""

from __future__ import annotations

import json
import platform

import pytest
from airflow_2 import Airflow


def xcom(airflow: Airflow, task_id: str) -> object:
    """What a task returned."""
    ((value,),) = airflow.ask("select value from xcom where task_id = ? and key = 'return_value'", task_id)
    return json.loads(value)


def test_a_dag_runs_to_success_in_containers_with_logs_in_airflow_s_own_place(airflow: Airflow) -> None:
    airflow.add_dags("chain.py")
    airflow.run("variables", "set", "two", "2")
    assert airflow.run_dag("chain") == "success", airflow.logs()

    place = xcom(airflow, "place")
    assert place["inside"] and "/docker/" in place["cgroup"]
    assert place["host"] == platform.node()
    assert place["pid"] >= 300
    assert xcom(airflow, "double") == 4
    assert "a line on stdout" in airflow.task_log("chain", "place")
    assert "the first attempt" in airflow.task_log("chain", "fails_once", 1)
    assert "Marking task as SUCCESS" in airflow.task_log("chain", "fails_once", 2)


def test_with_the_flags_off_tasks_are_run_by_airflow_itself(plain_airflow: Airflow) -> None:
    plain_airflow.add_dags("chain.py")
    plain_airflow.run("variables", "set", "two", "2")
    assert plain_airflow.run_dag("chain") == "success", plain_airflow.logs()
    assert xcom(plain_airflow, "place")["inside"] is False


@pytest.mark.parametrize("words", [("version",), ("config", "get-value", "core", "dags_folder"), ("no-such-command",)])
def test_everything_else_is_the_real_airflow_s(airflow: Airflow, words: tuple[str, ...]) -> None:
    code = 2 if words == ("no-such-command",) else 0
    ours = airflow.run(*words, code=code)
    airflow.environment["PATH"] = airflow.environment["PATH"].split(":", 1)[1]
    assert airflow.run(*words, code=code) == ours


def test_a_scheduler_that_would_run_tasks_without_containers_does_not_start(airflow: Airflow) -> None:
    airflow.environment["AIRFLOW__CORE__EXECUTE_TASKS_NEW_PYTHON_INTERPRETER"] = "False"
    said = airflow.run("scheduler", "--num-runs", "1", code=1)
    assert "execute_tasks_new_python_interpreter" in said


def test_a_scheduler_that_finds_the_real_airflow_first_does_not_start(airflow: Airflow) -> None:
    airflow.environment["PATH"] = airflow.environment["PATH"].split(":", 1)[1]
    assert "first on PATH" in airflow.run("scheduler", "--num-runs", "1", code=1)


def test_components_that_start_no_task_start_whichever_airflow_is_first(airflow: Airflow) -> None:
    airflow.environment["PATH"] = airflow.environment["PATH"].split(":", 1)[1]
    with airflow.component("triggerer"):
        airflow.wait_for("select state from job where job_type = 'TriggererJob'", wanted={"running"})
    # The command itself wants no SQLite.
    program = """
import types
from airflow.cli.commands import dag_processor_command
arguments = types.SimpleNamespace(subdir="/dags", num_runs=1, do_pickle=False)
print(dag_processor_command._create_dag_processor_job_runner(arguments).job_type)
"""
    assert airflow.python(program).endswith("DagProcessorJob\n")
