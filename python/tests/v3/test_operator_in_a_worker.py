"""AirtightOperator in the process that the real scheduler and LocalExecutor of Airflow 3 start for a task."""

from __future__ import annotations

import pytest
from airflow_3 import Airflow
from registry_support import PASSWORD, USER, registry
from test_tasks import run_dag

DAG = """
import pendulum
from airflow import DAG
from airtight_airflow.operators import AirtightOperator

with DAG("operator", start_date=pendulum.datetime(2026, 1, 1), schedule=None):
    AirtightOperator(
        task_id="first",
        image="@IMAGE@",
        docker_conn_id="team_registry",
        command="sh -c 'echo it is $SECRET'",
        private_environment={"SECRET": "private-of-the-test"},
    )
"""


def test_its_image_comes_with_a_connection_of_the_supervisor_s_and_private_values_are_masked(
    plain_airflow: Airflow, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with registry(tmp_path_factory.mktemp("registry")) as server:
        image = server.push("busybox", "team/first:1")
        plain_airflow.environment["SSL_CERT_FILE"] = server.ca_file
        where = ("--conn-type=docker", "--conn-host=localhost", f"--conn-port={server.port}")
        opens = (f"--conn-login={USER}", f"--conn-password={PASSWORD}")
        plain_airflow.run("connections", "add", "team_registry", *where, *opens)
        (plain_airflow.dags / "in_a_worker.py").write_text(DAG.replace("@IMAGE@", image))
        state = run_dag(plain_airflow, "operator")
    logs = plain_airflow.task_logs("operator")
    assert state == "success", logs + plain_airflow.logs()
    assert f"Pulling image {image} with the connection 'team_registry' for {server.name}" in logs
    assert "it is ***" in logs
    assert "private-of-the-test" not in logs and PASSWORD not in logs
