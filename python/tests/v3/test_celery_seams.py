"""Airflow 3: Celery workers and processes that are spawned, which call no listener, run tasks in containers as well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from airflow_3 import Airflow
from test_tasks import xcom
from test_whole import HERE, HOST

# What a worker's process imports when it is given a task; and nothing else of ours.
IMPORTS = """
from airflow.sdk.execution_time import supervisor
supervise = getattr(supervisor, "supervise_task", None) or supervisor.supervise
print(hasattr(supervise, "_airtight"), hasattr(supervisor.ActivitySubprocess.start.__func__, "_airtight"))
"""
CALLBACK = """
try:
    from airflow.sdk.execution_time.callback_supervisor import supervise_callback as call
except ImportError:
    from airflow.executors.workloads.callback import execute_callback_workload as call
call()
"""


@pytest.fixture
def celery(airflow: Airflow) -> Airflow:
    """An Airflow with CeleryExecutor, which parses its DAG files itself."""
    airflow.use_celery_of_files()
    airflow.environment["AIRFLOW__CORE__SCHEDULER_DAG_PARSING_RUNTIME"] = ""
    return airflow


@pytest.fixture
def unknown(celery: Airflow, tmp_path: Path) -> Airflow:
    """An Airflow of a minor version that the package does not know."""
    (tmp_path / "first").mkdir()
    minor = tuple(int(number) for number in HOST.split(".")[:2])
    forget = f"_versions.KNOWN = tuple(minor for minor in _versions.KNOWN if minor != {minor})"
    (tmp_path / "first/sitecustomize.py").write_text(f"from airtight_airflow import _versions\n{forget}\n")
    celery.environment["PYTHONPATH"] = f"{tmp_path}/first:{celery.environment['PYTHONPATH']}"
    celery.environment["AIRFLOW__CORE__SCHEDULER_DAG_PARSING_RUNTIME"] = "docker"
    return celery


def test_a_celery_worker_without_a_coordinator_runs_tasks_in_containers(celery: Airflow) -> None:
    # Where the tests run with an image of another minor version, it is needed.
    celery.environment["AIRFLOW__TASK_EXECUTION_DOCKER_RUNTIME__NETWORK_MODE"] = "host"
    celery.add_dags("whole.py")
    celery.parse_all()
    celery.run("dags", "unpause", "whole")
    celery.run("dags", "trigger", "whole", "--run-id", "test")
    deliver = [sys.executable, str(HERE / "deliver.py"), "whole", "place", "celery"]
    with celery.component("api-server"), celery.component("celery", "worker"):
        celery.wait_until_it_serves("/api/v2/version")
        subprocess.run(deliver, env=celery.environment, check=True, capture_output=True)
        query = "select state from task_instance where dag_id = 'whole' and task_id = 'place'"
        assert celery.wait_for(query, wanted={"success", "failed"}) == "success", celery.task_logs("whole")
    ((_, inside, _),) = xcom(celery, "place")
    assert inside is True


def test_whatever_process_supervises_tasks_has_the_patch_and_with_the_flag_off_none(celery: Airflow) -> None:
    assert celery.python(IMPORTS).splitlines()[-1] == "True True"
    celery.environment["AIRFLOW__CORE__TASK_EXECUTION_RUNTIME"] = ""
    assert celery.python(IMPORTS).splitlines()[-1] == "False False"
    finders = "import airflow, sys; print([finder for finder in sys.meta_path if 'airtight' in repr(finder)])"
    assert celery.python(finders).splitlines()[-1] == "[]"


def test_a_celery_worker_does_not_start_with_a_mistake_in_the_flag(celery: Airflow) -> None:
    celery.environment["AIRFLOW__CORE__TASK_EXECUTION_RUNTIME"] = "dokcer"
    assert "task_execution_runtime = dokcer: it must be docker" in celery.run("celery", "worker", code=1)
    # Every other command goes on.
    assert HOST in celery.run("version").splitlines()


@pytest.mark.parametrize(
    "words", [("scheduler", "--num-runs", "1"), ("dag-processor", "--num-runs", "1"), ("celery", "worker")]
)
def test_nothing_starts_with_an_airflow_of_an_unknown_minor_version(unknown: Airflow, words: tuple[str, ...]) -> None:
    assert f"airtight_airflow does not know Airflow {HOST}" in unknown.run(*words, code=1)


def test_a_callback_of_a_deadline_is_refused_by_an_executor(celery: Airflow) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CALLBACK], env=celery.environment, stderr=subprocess.PIPE, text=True, check=False
    )
    # Executors run none before 3.2.
    assert ("would run outside of a container" if HOST >= "3.2" else "No module named") in done.stderr
