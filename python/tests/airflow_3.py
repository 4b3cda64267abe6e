"""An Airflow 3: its settings, and the components that serve it.

In: a directory, a database. Out: an `Airflow`. Whatever of it is secret begins with SECRET, so that a DAG can look for
it without holding it.
"""

from __future__ import annotations

import contextlib
import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import airflow_home
from airflow_home import free_port, without_async

SECRET = "airtight-secret-"


class Airflow(airflow_home.Airflow):
    """One AIRFLOW_HOME of Airflow 3."""

    def parse_all(self) -> None:
        """The real DAG processor, once over every file."""
        self.run("dag-processor", "--num-runs", "1")

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """The API server, once it answers, and the scheduler."""
        with self.component("api-server"):
            self.wait_until_it_serves("/api/v2/version")
            with self.component("scheduler"):
                yield

    @contextlib.contextmanager
    def all_components(self) -> Iterator[None]:
        """Everything that an Airflow 3 with this executor consists of."""
        with contextlib.ExitStack() as running:
            running.enter_context(self.serving())
            for name in ("dag-processor", "triggerer"):
                running.enter_context(self.component(name))
            if self.environment.get("AIRFLOW__CORE__EXECUTOR") == "CeleryExecutor":
                running.enter_context(self.component("celery", "worker"))
            yield

    def start_run(self, dag_id: str, conf: dict[str, str]) -> None:
        """Starts the run `test` of a DAG."""
        body = {"dag_run_id": "test", "logical_date": None, "conf": conf}
        self.call_api("POST", f"/dags/{dag_id}/dagRuns", body, self._token())

    def mark_failed(self, dag_id: str, task_id: str) -> None:
        """What the user interface does for `mark as failed`."""
        path = f"/dags/{dag_id}/dagRuns/test/taskInstances/{task_id}"
        self.call_api("PATCH", path, {"new_state": "failed"}, self._token())

    def _token(self) -> str:
        with urllib.request.urlopen(f"{self.url}/auth/token", timeout=60) as answer:
            return json.load(answer)["access_token"]


def plain(home: Path, database: str, dag_files: Path) -> Airflow:
    """An Airflow whose feature flags are off."""
    (home / "dags").mkdir()
    port = free_port()
    environment = {
        **os.environ,
        **airflow_home.SETTINGS,
        "AIRTIGHT_TEST_WEB_PORT": str(port),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__FERNET_KEY": "",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__SECRET_KEY": f"{SECRET}api-key-of-32-bytes-or-more-0123456789",
        "AIRFLOW__API_AUTH__JWT_SECRET": f"{SECRET}jwt-key-of-64-bytes-or-more-{'0123456789' * 4}",
        "AIRFLOW__CORE__INTERNAL_API_SECRET_KEY": f"{SECRET}internal-api-key",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        # A loaded machine answers slowly; what is tested here is not how fast.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "120",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "300",
        "AIRFLOW_CONN_SOMEWHERE": f"http://user:{SECRET}password@nowhere.invalid",
        **without_async(database),
    }
    return Airflow(home, environment, dag_files, "/api/v2")


def through_coordinator(airflow: Airflow) -> None:
    """Tasks get their containers from the coordinator: Celery workers tell no plugin that they start."""
    coordinators = {"airtight": {"classpath": "airtight_airflow.tasks_v3.AirtightCoordinator"}}
    airflow.environment["AIRFLOW__SDK__COORDINATORS"] = json.dumps(coordinators)
    airflow.environment["AIRFLOW__SDK__QUEUE_TO_COORDINATOR"] = json.dumps({"default": "airtight"})


def contained(airflow: Airflow, image: str) -> Airflow:
    """The same, parsing and running everything in containers of the image."""
    repository, tag = image.split(":")
    airflow.environment |= {
        "AIRFLOW__CORE__TASK_EXECUTION_RUNTIME": "docker",
        "AIRFLOW__CORE__SCHEDULER_DAG_PARSING_RUNTIME": "docker",
        "AIRFLOW__DOCKER_RUNTIME__CONTAINER_REPOSITORY": repository,
        "AIRFLOW__DOCKER_RUNTIME__CONTAINER_TAG": tag,
        "AIRFLOW__DOCKER_RUNTIME__SOCKET_PATH": os.environ["CONTAINERD_ADDRESS"],
    }
    return airflow
