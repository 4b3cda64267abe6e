"""The real scheduler and LocalExecutor of Airflow 3 run tasks in their containers."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

from airflow_3 import Airflow
from from_the_host import container_of, places_with_secrets

from airtight_airflow import _command


def run_dag(airflow: Airflow, dag_id: str) -> str:
    """Parses, triggers and runs a DAG to its end; its state."""
    airflow.parse_all()
    airflow.run("dags", "unpause", dag_id)
    airflow.run("dags", "trigger", dag_id, "--run-id", "test")
    with airflow.serving():
        return airflow.wait_for("select state from dag_run where dag_id = ?", dag_id, wanted={"success", "failed"})


def look_while_secrets_runs(airflow: Airflow) -> list[str]:
    """What the host sees of secrets in the container of the task `secrets`, which waits until it has been looked at."""
    try:
        # What was planted may not be there yet.
        while not (found := places_with_secrets(container_of("secrets", 200))):
            pass
        return found
    finally:
        (airflow.dags / "looked").touch()


def xcom(airflow: Airflow, task_id: str) -> list:
    """What a task returned, of each map index."""
    query = "select cast(value as text) from xcom where task_id = ? and key = 'return_value' order by map_index"
    return [json.loads(value) for (value,) in airflow.ask(query, task_id)]


def test_tasks_run_in_containers_to_success_without_network_or_secrets(airflow: Airflow) -> None:
    airflow.add_dags("chain.py")
    airflow.run("variables", "set", "two", "2")
    with ThreadPoolExecutor(1) as beside:
        seen = beside.submit(look_while_secrets_runs, airflow)
        state = run_dag(airflow, "chain")
    assert state == "success", airflow.task_logs("chain") + airflow.logs()

    assert xcom(airflow, "double") == [42]
    assert xcom(airflow, "mapped") == [1, 4]
    assert xcom(airflow, "interfaces") == [["lo"]]
    # Each finds what was planted, and nothing else: from inside, and from the host.
    assert xcom(airflow, "secrets") == [["/proc/planted/environ", "/tmp/planted"]]
    assert seen.result() == ["sleep/environ"]
    assert "a line on stdout, in a container" in airflow.task_logs("chain")


def test_airflows_log_explains_a_task_killed_for_memory_and_one_that_exits(airflow: Airflow) -> None:
    airflow.add_dags("ends.py")
    (airflow.dags / "ends.py.metadata.yaml").write_text("docker_runtime:\n  memory: 400m\n  memory_swap: 400m\n")
    assert run_dag(airflow, "ends") == "failed"

    logs = airflow.task_logs("ends")
    assert "Process terminated by signal. Likely out of memory error (OOM)." in logs
    assert '"exit_code":3' in logs.replace(" ", "")


def test_an_image_of_another_minor_version_is_refused_in_the_tasks_log(airflow: Airflow) -> None:
    airflow.add_dags("good.py")
    run = _command.Run(
        profile=_command.TASK_EXECUTION,
        dag_file=str(airflow.dags / "good.py"),
        program="task_v3.py",
        arguments=["2", "2.99"],
    )
    done = subprocess.run(_command.argv(run), env=airflow.environment, capture_output=True, text=True, input="")
    assert done.returncode == 1
    assert "the worker 2.99: a task needs an image of the worker's minor version" in done.stderr
