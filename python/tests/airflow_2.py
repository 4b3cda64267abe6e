"""An Airflow 2: its settings, with airtight's `airflow` first on PATH, and its scheduler.

In: a directory, a database. Out: an `Airflow`. Its containers run as another user than root, so the directory and those
above it must be such as others may enter.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import airflow_home
from airflow_home import free_port

HERE = Path(__file__).parent


class Airflow(airflow_home.Airflow):
    """One AIRFLOW_HOME of Airflow 2."""

    def parse_all(self, limit: int = 100) -> str:
        """The real DAG processor, once over every file; `limit` is how many seconds each may take. All it said."""
        return self.python((HERE / "v2/parse_all.py").read_text(), str(self.dags), str(limit))

    def run_dag(self, dag_id: str) -> str:
        """Parses, triggers and runs a DAG to its end with the real scheduler; the run's state."""
        self.parse_all()
        self.run("dags", "unpause", dag_id)
        self.run("dags", "trigger", dag_id, "--run-id", "test")
        with self.component("scheduler"):
            return self.wait_for("select state from dag_run where dag_id = ?", dag_id, wanted={"success", "failed"})

    @contextlib.contextmanager
    def all_components(self) -> Iterator[None]:
        """Everything that an Airflow 2 with this executor consists of."""
        # Whoever asks may do everything.
        (self.home / "webserver_config.py").write_text("AUTH_ROLE_PUBLIC = 'Admin'\n")
        with contextlib.ExitStack() as running:
            running.enter_context(self.component("webserver"))
            for name in ("scheduler", "dag-processor", "triggerer"):
                running.enter_context(self.component(name))
            if self.environment["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor":
                running.enter_context(self.component("celery", "worker"))
            self.wait_until_it_serves("/api/v1/version")
            yield

    def start_run(self, dag_id: str, conf: dict[str, str]) -> None:
        """Starts the run `test` of a DAG."""
        self.call_api("POST", f"/dags/{dag_id}/dagRuns", {"dag_run_id": "test", "conf": conf})

    def mark_failed(self, dag_id: str, task_id: str) -> None:
        """What the user interface does for `mark as failed`."""
        path = f"/dags/{dag_id}/dagRuns/test/taskInstances/{task_id}"
        self.call_api("PATCH", path, {"dry_run": False, "new_state": "failed"})


def plain(home: Path, database: str, dag_files: Path) -> Airflow:
    """An Airflow whose feature flags are off, with airtight's `airflow` first on PATH."""
    for name in ("dags", "logs", "first"):
        (home / name).mkdir()
    # Airflow would write one that only its own user can read, and another one runs in the containers.
    key = base64.urlsafe_b64encode(os.urandom(32)).decode()
    (home / "airflow.cfg").write_text(f"[core]\nfernet_key = {key}\n")
    airtight = shutil.which("airtight")
    assert airtight is not None
    (home / "first/airflow").symlink_to(airtight)
    # Other users than root run in the containers: pytest's directories are root's alone.
    for path in (home, *home.parents):
        if path.name.startswith("pytest-") or home == path:
            path.chmod(path.stat().st_mode | 0o755)
    (home / "logs").chmod(0o777)
    port = str(free_port())
    environment = {
        **os.environ,
        **airflow_home.SETTINGS,
        "AIRTIGHT_TEST_WEB_PORT": port,
        "PATH": f"{home}/first:{os.environ['PATH']}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor",
        # For a database that allows it.
        "AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR": str(not database.startswith("sqlite")),
        "AIRFLOW__CORE__EXECUTE_TASKS_NEW_PYTHON_INTERPRETER": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        # Airflow's own supervisor, which is in the container too, waits a minute for a process that is deaf to SIGTERM,
        # and another one after a SIGKILL that does not reach it. Then it ends, and with it the container.
        "AIRFLOW__CORE__KILLED_TASK_CLEANUP_TIME": "5",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
        "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": port,
        "AIRFLOW__WEBSERVER__WORKERS": "1",
        "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.default",
    }
    return Airflow(home, environment, dag_files, "/api/v1")


def contained(airflow: Airflow, image: str) -> Airflow:
    """The same, parsing and running everything in containers of the image."""
    airflow.environment |= {
        "AIRFLOW__CORE__TASK_EXECUTION_RUNTIME": "docker",
        "AIRFLOW__CORE__SCHEDULER_DAG_PARSING_RUNTIME": "docker",
        "AIRFLOW__DOCKER_RUNTIME__IMAGE": image,
    }
    return airflow
