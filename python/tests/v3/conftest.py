"""An Airflow 3 with SQLite, its DAG folder, and ways to run its components and to ask its database."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

# Whatever of the host's Airflow is secret begins with this, so that a DAG can look for it without holding it.
SECRET = "airtight-secret-"
HERE = Path(__file__).parent
DEADLINE_SECONDS = 240


@dataclass
class Airflow:
    """One AIRFLOW_HOME."""

    home: Path
    environment: dict[str, str]

    @property
    def dags(self) -> Path:
        """The DAG folder."""
        return self.home / "dags"

    def add_dags(self, *names: str) -> None:
        """Copies files of tests/v3/dags into the DAG folder."""
        for name in names:
            shutil.copy(HERE / "dags" / name, self.dags)

    def run(self, *words: str) -> str:
        """An `airflow` command to its end; its stdout."""
        done = subprocess.run(["airflow", *words], env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"airflow {' '.join(words)}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def parse_all(self) -> None:
        """The real DAG processor, once over every file."""
        self.run("dag-processor", "--num-runs", "1")

    @contextlib.contextmanager
    def component(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """An `airflow` command for as long as the block lasts; its output goes to a file in AIRFLOW_HOME."""
        with open(self.home / f"{words[0]}.log", "wb") as log:
            process = subprocess.Popen(["airflow", *words], env=self.environment, stdout=log, stderr=log)
            try:
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def ask(self, query: str, *values: str) -> list[tuple]:
        """The answer of Airflow's database."""
        with contextlib.closing(sqlite3.connect(self.home / f"{SECRET}airflow.db", timeout=30)) as database:
            return database.execute(query, values).fetchall()

    def wait_for(self, query: str, *values: str, wanted: set[str]) -> str:
        """Asks until the first value of the first row is one of `wanted`."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            rows = self.ask(query, *values)
            if rows and rows[0][0] in wanted:
                return rows[0][0]
            assert time.monotonic() < deadline, f"{query} {values}: {rows}, not {wanted}\n{self.logs()}"
            time.sleep(0.5)

    def logs(self) -> str:
        """The last lines of every component, for a message."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-30:])
            for path in sorted(self.home.glob("*.log"))
        )

    def task_logs(self, dag_id: str) -> str:
        """Everything in Airflow's own log files of one DAG."""
        return "\n".join(
            path.read_text(errors="replace") for path in sorted((self.home / "logs").glob(f"dag_id={dag_id}/**/*.log"))
        )


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, since making one takes long."""
    home = tmp_path_factory.mktemp("migrated")
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/empty.db",
    }
    subprocess.run(["airflow", "db", "migrate"], env=environment, check=True, capture_output=True)
    return home / "empty.db"


@pytest.fixture
def plain_airflow(tmp_path: Path, migrated: Path) -> Airflow:
    """An Airflow whose feature flags are off."""
    (tmp_path / "dags").mkdir()
    shutil.copy(migrated, tmp_path / f"{SECRET}airflow.db")
    port = free_port()
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__CORE__FERNET_KEY": "",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__SECRET_KEY": f"{SECRET}api-key-of-32-bytes-or-more-0123456789",
        "AIRFLOW__API_AUTH__JWT_SECRET": f"{SECRET}jwt-key-of-64-bytes-or-more-{'0123456789' * 4}",
        "AIRFLOW__CORE__INTERNAL_API_SECRET_KEY": f"{SECRET}internal-api-key",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/{SECRET}airflow.db",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW_CONN_SOMEWHERE": f"http://user:{SECRET}password@nowhere.invalid",
    }
    return Airflow(tmp_path, environment)


@pytest.fixture
def airflow(plain_airflow: Airflow, image: str) -> Airflow:
    """An Airflow that parses and runs everything in containers of the image."""
    repository, tag = image.split(":")
    plain_airflow.environment |= {
        "AIRFLOW__CORE__TASK_EXECUTION_RUNTIME": "docker",
        "AIRFLOW__CORE__SCHEDULER_DAG_PARSING_RUNTIME": "docker",
        "AIRFLOW__DOCKER_RUNTIME__CONTAINER_REPOSITORY": repository,
        "AIRFLOW__DOCKER_RUNTIME__CONTAINER_TAG": tag,
        "AIRFLOW__DOCKER_RUNTIME__SOCKET_PATH": os.environ["CONTAINERD_ADDRESS"],
    }
    return plain_airflow
