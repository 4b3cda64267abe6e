"""Whole DAGs with AirtightOperator and @task.airtight, run by Airflow itself with a database of its own.

What is looked at: replacing the import line is all that a DAG with DockerOperator needs; arguments, results and
templates of decorated functions.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from operator_support import PATHS, SETTINGS, airtight
from registry_support import PASSWORD, USER, registry

DOCKER = "from airflow.providers.docker.operators.docker import DockerOperator\n"
AIRTIGHT = "from airtight_airflow.operators import AirtightOperator as DockerOperator\n"

OPERATORS = (
    DOCKER
    + """
from docker.types import Mount
import pendulum
from airflow import DAG

with DAG("plain", start_date=pendulum.datetime(2026, 1, 1), schedule=None, params={"word": "hello"}):
    first = DockerOperator(
        task_id="first",
        image="{{ 'busybox' }}:test",
        api_version="auto",
        docker_url="unix://var/run/docker.sock",
        auto_remove="success",
        command="sh -c 'echo noise; echo it is $SECRET; echo $WORD {{ params.word }}'",
        environment={"WORD": "{{ task.task_id }}"},
        private_environment={"SECRET": "private {{ not rendered }}"},
    )
    second = DockerOperator(
        task_id="second",
        image="busybox:test",
        command=["sh", "-c", "echo '{{ ti.xcom_pull(task_ids='first') }}' > /out/first"],
        mounts=[Mount(target="/out", source="@OUT@", type="bind")],
        network_mode="none",
    )
    first >> second
"""
)

FUNCTIONS = """
import pendulum
from airflow.decorators import dag, task

@task.airtight(image="python:test", multiple_outputs=True, network_mode="none")
def split(text, times=1, *, day):
    import os, sys
    print("in the container", os.path.exists("/opt/airtight_call"))
    # a comment
    return {"words": text.split() * times, "day": day, "version": sys.version_info[0]}

@task.airtight(image="python:test", expect_airflow=False, user="1000", python_command="python3 -u",
               mounts=[{"type": "bind", "source": "@OUT@", "target": "/out"}])
def write(words, day, version):
    with open("/out/words", "w") as file:
        file.write(" ".join([*words, day, str(version)]))

@task.airtight(image="python:test")
def nothing():
    pass

@task.airtight(image="python:test")
def square(n):
    return n * n

@task.airtight(image="python:test", mounts=[{"type": "bind", "source": "@OUT@", "target": "/out"}])
def total(numbers, nought):
    with open("/out/total", "w") as file:
        file.write(f"{sum(numbers)} {nought}")

@dag("functions", start_date=pendulum.datetime(2026, 1, 1), schedule=None)
def functions():
    found = split("a b", times=2, day="{{ task.task_id }}")
    write(found["words"], found["day"], found["version"])
    total(square.expand(n=[1, 2, 3]), nothing())

functions()
"""

PULLING = """
import pendulum
from airflow import DAG
from airtight_airflow.operators import AirtightOperator

with DAG("pulling", start_date=pendulum.datetime(2026, 1, 1), schedule=None):
    out = {"type": "bind", "source": "@OUT@", "target": "/out"}
    AirtightOperator(task_id="first", image="@IMAGE@", docker_conn_id="{{ 'team' }}_registry", mounts=[out],
                     command="touch /out/first")
"""

FAILING = """
import pendulum
from airflow.decorators import dag, task

@task.airtight(image="python:test")
def fails():
    raise LookupError("in the function")

@dag("failing", start_date=pendulum.datetime(2026, 1, 1), schedule=None)
def failing():
    fails()

failing()
"""


@pytest.fixture(scope="session")
def airflow():
    """Runs an Airflow command on a database of its own; returns its exit code and everything it printed."""
    environment = {**os.environ, **SETTINGS, "PYTHONPATH": os.pathsep.join([*PATHS, os.environ.get("PYTHONPATH", "")])}

    def run(*words, **variables):
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *words],
            env={**environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    code, output = run("db", "migrate")
    assert code == 0, output
    for name in ("busybox", "python"):
        airtight("image", "import", f"{os.environ['AIRTIGHT_TEST_IMAGES']}/{name}.tar")
    return run


@pytest.fixture
def run_dag(airflow, tmp_path):
    """Writes a DAG file and runs it; returns what it printed, and the directory it wrote to."""
    tmp_path.chmod(0o777)
    folder = Path(SETTINGS["AIRFLOW__CORE__DAGS_FOLDER"])
    folder.mkdir(exist_ok=True)

    def run(dag_id, text, **variables):
        file = folder / f"{dag_id}.py"
        file.write_text(text.replace("@OUT@", str(tmp_path)))
        code, output = airflow("dags", "test", dag_id, "2026-01-02", **variables)
        return code, output, tmp_path

    return run


def test_replacing_the_import_line_is_all_a_dag_needs(run_dag):
    _, output, out = run_dag("plain", OPERATORS.replace(DOCKER, AIRTIGHT))
    assert (out / "first").read_text() == "first hello\n", output
    # This command of Airflow's masks nothing (docs/operator.md).
    assert "it is private {{ not rendered }}" in output


def test_functions_run_in_containers_with_their_arguments_and_results(run_dag):
    _, output, out = run_dag("functions", FUNCTIONS)
    assert (out / "words").read_text() == "a b a b split 3", output
    assert (out / "total").exists(), output
    assert (out / "total").read_text() == "14 None"
    assert "in the container True" in output


def test_a_connection_in_airflow_s_database_opens_a_registry(airflow, run_dag, tmp_path_factory):
    with registry(tmp_path_factory.mktemp("registry")) as server:
        image = server.push("busybox", "team/first:1")
        where = ("--conn-type=docker", "--conn-host=localhost", f"--conn-port={server.port}")
        airflow("connections", "add", "team_registry", *where, f"--conn-login={USER}", f"--conn-password={PASSWORD}")
        _, output, out = run_dag("pulling", PULLING.replace("@IMAGE@", image), SSL_CERT_FILE=server.ca_file)
    assert (out / "first").exists(), output
    assert f"Pulling image {image} with the connection 'team_registry' for {server.name}" in output
    assert PASSWORD not in output


def test_a_function_that_raises_fails_its_task_and_its_traceback_is_in_the_log(run_dag):
    _, output, _ = run_dag("failing", FAILING)
    assert "LookupError: in the function" in output
    assert 'raise LookupError("in the function")' in output
    assert "exit code 1" in output and "failed" in output


def test_the_decorator_is_registered_as_airflow_s_own_are(airflow):
    _, output = airflow("providers", "list")
    assert "airtight-airflow" in output
