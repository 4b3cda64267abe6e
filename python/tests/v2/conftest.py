"""An Airflow 2 with SQLite, whose tasks and DAG files run in containers, and ways to ask its database and its logs."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DEADLINE_SECONDS = 240


@dataclass
class Airflow:
    """One AIRFLOW_HOME."""

    home: Path
    environment: dict[str, str]

    def add_dags(self, *names: str) -> None:
        """Copies files of tests/v2/dags into the DAG folder."""
        for name in names:
            shutil.copy(HERE / "dags" / name, self.home / "dags")

    def command(self, *words: str, code: int = 0) -> str:
        """An `airflow` command to its end; all that it said."""
        done = subprocess.run(
            ["airflow", *words], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == code, f"airflow {' '.join(words)} ended with {done.returncode}: {done.stdout}"
        return done.stdout

    def parse_all(self, limit: int = 100) -> str:
        """The real DAG processor, once over every file; `limit` is how many seconds each may take. All it said."""
        program = [sys.executable, str(HERE / "parse_all.py"), str(self.home / "dags"), str(limit)]
        done = subprocess.run(
            program, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def ask(self, query: str, *values: str) -> list[tuple]:
        """The answer of Airflow's database."""
        with contextlib.closing(sqlite3.connect(self.home / "db/airflow.db", timeout=30)) as database:
            return database.execute(query, values).fetchall()

    def run_dag(self, dag_id: str) -> str:
        """Parses, triggers and runs a DAG to its end with the real scheduler; the run's state."""
        self.parse_all()
        self.command("dags", "unpause", dag_id)
        self.command("dags", "trigger", dag_id, "--run-id", "test")
        with open(self.home / "scheduler.log", "wb") as log:
            scheduler = subprocess.Popen(["airflow", "scheduler"], env=self.environment, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + DEADLINE_SECONDS
            while True:
                ((state,),) = self.ask("select state from dag_run where dag_id = ?", dag_id)
                if state in ("success", "failed") or time.monotonic() > deadline:
                    return state
                time.sleep(0.5)
        finally:
            scheduler.terminate()
            try:
                scheduler.wait(60)
            except subprocess.TimeoutExpired:
                scheduler.kill()
                scheduler.wait()

    def task_log(self, dag_id: str, task_id: str, attempt: int = 1) -> str:
        """Airflow's own log file of one attempt."""
        path = self.home / f"logs/dag_id={dag_id}/run_id=test/task_id={task_id}/attempt={attempt}.log"
        return path.read_text() if path.exists() else f"no {path}"

    def all_logs(self) -> str:
        """The scheduler's and every task's, for a message."""
        paths = [self.home / "scheduler.log", *sorted((self.home / "logs").glob("dag_id=*/**/*.log"))]
        return "\n".join(f"--- {path}\n{path.read_text(errors='replace')[-3000:]}" for path in paths if path.exists())


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, since making one takes long."""
    home = tmp_path_factory.mktemp("migrated")
    database = home / "airflow.db"
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
    }
    subprocess.run(["airflow", "db", "migrate"], env=environment, check=True, capture_output=True)
    return database


@pytest.fixture
def plain_airflow(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Airflow:
    """An Airflow whose feature flags are off, with airtight's `airflow` first on PATH."""
    home = tmp_path_factory.mktemp("airflow")
    for name in ("dags", "db", "logs", "first"):
        (home / name).mkdir()
    shutil.copy(migrated, home / "db")
    # Airflow would write one that only its own user can read, and another one runs in the containers.
    key = base64.urlsafe_b64encode(os.urandom(32)).decode()
    (home / "airflow.cfg").write_text(f"[core]\nfernet_key = {key}\n")
    airtight = shutil.which("airtight")
    assert airtight is not None
    (home / "first/airflow").symlink_to(airtight)
    # Other users than root run in the containers: pytest's directories are root's alone.
    for path in (home, *home.parents):
        if path.is_relative_to("/tmp/pytest-of-root") or path.name.startswith("pytest-"):
            path.chmod(path.stat().st_mode | 0o755)
    for path in (home / "logs", home / "db"):
        path.chmod(0o777)
    (home / "db/airflow.db").chmod(0o666)
    environment = {
        **os.environ,
        "PATH": f"{home}/first:{os.environ['PATH']}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor",
        "AIRFLOW__CORE__EXECUTE_TASKS_NEW_PYTHON_INTERPRETER": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/db/airflow.db",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    }
    return Airflow(home, environment)


@pytest.fixture
def airflow(plain_airflow: Airflow, image: str) -> Airflow:
    """An Airflow that parses and runs everything in containers of the image."""
    home = plain_airflow.home
    plain_airflow.environment |= {
        "AIRFLOW__CORE__TASK_EXECUTION_RUNTIME": "docker",
        "AIRFLOW__CORE__SCHEDULER_DAG_PARSING_RUNTIME": "docker",
        "AIRFLOW__DOCKER_RUNTIME__IMAGE": image,
        # A database that is a file has to be mounted.
        "AIRFLOW__DOCKER_RUNTIME__VOLUMES": f"{home}/db:{home}/db",
    }
    return plain_airflow
