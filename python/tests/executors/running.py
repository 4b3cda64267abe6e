"""An Airflow with all its components, which runs one run of every DAG.

In: a directory, a database, an image. Out: a `Running`, and the functions that make one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import airflow_2
import airflow_3
import leftovers
from airflow_home import Airflow, need

DAG_FILES = Path(__file__).parent / "dags"
# Copies of ten.py, and which image each is for.
TEN = {"ten_lib1": "lib1", "ten_lib2": "lib2"}
DAGS = ("killed", "marked", "late", "eats", *TEN)

AIRFLOW_2 = need("AIRTIGHT_TEST_AIRFLOW").startswith("2.")


@dataclass
class Running:
    """An Airflow that runs one run, `test`, of every DAG."""

    airflow: airflow_2.Airflow | airflow_3.Airflow
    # What a process's command line says that was started by a task.
    marker: str

    def state(self, dag_id: str, wanted: set[str]) -> str:
        """The state of its run, once it is one of `wanted`."""
        return self.airflow.wait_for("select state from dag_run where dag_id = ?", dag_id, wanted=wanted)

    def ended(self, dag_id: str) -> str:
        """The state in which its run ended."""
        return self.state(dag_id, {"success", "failed"})

    def process(self, dag_id: str) -> int:
        """The host's id of the process that the task of a DAG has left, once it is there."""
        found: list[int] = []

        def is_there() -> bool:
            found[:] = leftovers.processes_with(f"{self.marker}-{dag_id}")
            return bool(found)

        self.airflow.until(is_there, f"there is no process of {dag_id}")
        return found[0]

    def worker(self, dag_id: str) -> int:
        """The host's id of the process that has started airtight for the task of a DAG."""
        callers = leftovers.callers_with(dag_id if AIRFLOW_2 else f"dag_id={dag_id}")
        (worker,) = {leftovers.parent(pid) for pid in callers} - set(callers)
        return worker


def make_airflow(home: Path, database: str, image: str, executor: str) -> airflow_2.Airflow | airflow_3.Airflow:
    """One whose flags are on, of the version that is tested."""
    if AIRFLOW_2:
        airflow = airflow_2.contained(airflow_2.plain(home, database, DAG_FILES), image)
    else:
        airflow = airflow_3.contained(airflow_3.plain(home, database, DAG_FILES), image)
        if executor == "CeleryExecutor":
            airflow_3.through_coordinator(airflow)
    airflow.environment["AIRFLOW__CORE__EXECUTOR"] = executor
    return airflow


def add_dags(airflow: Airflow, image: str) -> None:
    """The files, with what their containers are to be like."""
    airflow.add_dags("eats.py", "stays.py")
    (airflow.dags / "eats.py.metadata.yaml").write_text("docker_runtime:\n  memory: 500m\n  memory_swap: 500m\n")
    for name, tag in TEN.items():
        (airflow.dags / f"{name}.py").write_text((DAG_FILES / "ten.py").read_text())
        (airflow.dags / f"{name}.py.metadata.yaml").write_text(f"docker_runtime:\n  image: {image}-{tag}\n")


def wait_until_parsed(airflow: Airflow) -> None:
    """Waits for every DAG; an import error ends that."""

    found = "select dag_id from dag join serialized_dag using (dag_id)"

    def are_there() -> bool:
        errors = airflow.ask("select filename, stacktrace from import_error")
        assert not errors, f"{errors}\n{airflow.logs()}"
        return set(DAGS) <= {dag_id for (dag_id,) in airflow.ask(found)}

    airflow.until(are_there, "not all DAGs are parsed")
