"""Airflow 2: a Celery worker that would run tasks without containers does not start, and a task that got there ends."""

from __future__ import annotations

import pytest
from airflow_2 import Airflow


@pytest.fixture
def celery(airflow: Airflow) -> Airflow:
    """An Airflow with CeleryExecutor."""
    airflow.use_celery_of_files()
    # With SQLite, Airflow has no Celery; no two processes of these tests use it at once.
    airflow.environment["_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK"] = "1"
    return airflow


def without_airtight_first(airflow: Airflow) -> None:
    """The real `airflow` is the first on PATH then."""
    airflow.environment["PATH"] = airflow.environment["PATH"].split(":", 1)[1]


def worker(airflow: Airflow) -> str:
    """What one says that ends at once; the provider makes its exit code 0, whatever ends it (`suppress`)."""
    said = airflow.run("celery", "worker", "--skip-serve-logs")
    assert "ready." not in said
    return said


def test_a_worker_that_finds_the_real_airflow_first_does_not_start(celery: Airflow) -> None:
    without_airtight_first(celery)
    assert "needs airtight's airflow first on PATH" in worker(celery)


def test_a_worker_that_forks_its_tasks_does_not_start(celery: Airflow) -> None:
    celery.environment["AIRFLOW__CORE__EXECUTE_TASKS_NEW_PYTHON_INTERPRETER"] = "False"
    assert "needs [core] execute_tasks_new_python_interpreter = True" in worker(celery)


def test_a_worker_with_a_mistake_in_the_flag_does_not_start(celery: Airflow) -> None:
    celery.environment["AIRFLOW__CORE__TASK_EXECUTION_RUNTIME"] = "dokcer"
    assert "task_execution_runtime = dokcer: it must be docker" in worker(celery)


def test_a_task_that_is_started_by_the_real_airflow_does_not_run(celery: Airflow) -> None:
    celery.add_dags("chain.py")
    celery.parse_all()
    celery.run("dags", "trigger", "chain", "--run-id", "test")
    without_airtight_first(celery)
    words = ("tasks", "run", "chain", "place", "test", "--local", "--subdir", "DAGS_FOLDER/chain.py")
    assert "this task was to run in a container" in celery.run(*words, code=1)
    assert celery.ask("select count(*) from xcom") == [(0,)]
