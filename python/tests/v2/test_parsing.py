"""The real DAG processor of Airflow 2 parses DAG files in their containers."""

from __future__ import annotations

import subprocess

import pytest
from airflow_2 import Airflow


def descriptions(airflow: Airflow) -> dict[str, str]:
    """What is in the database: DAG id -> description."""
    return dict(airflow.ask("select dag_id, description from dag"))


def processor_log(airflow: Airflow, name: str) -> str:
    """Airflow's own log file of a DAG file."""
    return "".join(path.read_text() for path in airflow.home.glob(f"logs/scheduler/20*/{name}.log"))


def test_each_file_is_parsed_in_its_container(airflow: Airflow) -> None:
    airflow.add_dags("good.py", "broken.py", "asks.py")
    airflow.run("variables", "set", "colour", "green")
    airflow.parse_all()

    found = descriptions(airflow)
    assert set(found) == {"good", "asks"}, processor_log(airflow, "good.py")
    assert found["good"].startswith("parsed in a container as pid ")
    assert found["asks"] == "the variable is green"
    ((name, trace),) = airflow.ask("select filename, stacktrace from import_error")
    assert name.endswith("/broken.py") and "no_such_module_anywhere" in trace
    assert "a line while it is parsed" in processor_log(airflow, "good.py")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_manager_that_is_not_forked_parses_in_containers(airflow: Airflow, method: str) -> None:
    airflow.environment["AIRFLOW__CORE__MP_START_METHOD"] = method
    airflow.add_dags("good.py")
    with airflow.component("scheduler"):
        airflow.until(lambda: "good" in descriptions(airflow), "good.py was not parsed")
    assert descriptions(airflow)["good"].startswith("parsed in a container as pid ")


def test_with_the_flags_off_files_are_parsed_by_airflow_itself(plain_airflow: Airflow) -> None:
    plain_airflow.add_dags("good.py")
    plain_airflow.parse_all()
    assert descriptions(plain_airflow)["good"] == "parsed on the host"


def test_a_missing_image_is_an_import_error_that_names_it(airflow: Airflow) -> None:
    airflow.add_dags("good.py")
    (airflow.home / "dags/good.py.metadata.yaml").write_text("docker_runtime:\n  image: no.such/image:1\n")
    airflow.parse_all()
    ((name, trace),) = airflow.ask("select filename, stacktrace from import_error")
    assert name.endswith("/good.py") and "no.such/image:1" in trace and "airtight image pull --for-dags DIR" in trace


def test_a_file_that_takes_too_long_is_killed_with_its_container(airflow: Airflow) -> None:
    airflow.add_dags("hangs.py")
    airflow.environment["AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT"] = "0"
    assert "has timed out, killing it" in airflow.parse_all(limit=10)
    assert "this file never ends" in processor_log(airflow, "hangs.py")
    # The next command undoes what the dead one left; nothing runs any more.
    subprocess.run(["airtight", "image", "ls"], check=True, capture_output=True)
    tasks = subprocess.run(
        ["ctr", "--address", airflow.environment["CONTAINERD_ADDRESS"], "-n", "airtight", "task", "ls", "-q"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert tasks.stdout == ""
