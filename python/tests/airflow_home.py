"""One AIRFLOW_HOME, and what tests do with it: run commands and components, ask the database, read the logs.

In: a directory, the environment of its Airflow, a database. Out: an `Airflow`; `airflow_2.py` and `airflow_3.py` make
them. Must never wait without a limit, nor use an Airflow, a database or a containerd of the host.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# For whatever takes long on a loaded machine.
DEADLINE_SECONDS = 240
# Within it, a component that was asked to end has ended, or is asked again, as Airflow's own log proposes: it may wait
# for a task of a worker that was killed. The third time it is killed with all that it has started.
END_SECONDS = 20

SETTINGS = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
}


@dataclass
class Airflow:
    """One AIRFLOW_HOME."""

    home: Path
    environment: dict[str, str]
    # Where `add_dags` finds files.
    dag_files: Path
    # Below the address of its web server, where the API is.
    api: str
    # What runs of it, by name.
    components: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def dags(self) -> Path:
        """The DAG folder."""
        return Path(self.environment.get("AIRFLOW__CORE__DAGS_FOLDER", self.home / "dags"))

    @property
    def url(self) -> str:
        """Where its web server listens."""
        return f"http://127.0.0.1:{self.environment['AIRTIGHT_TEST_WEB_PORT']}"

    def use_celery_of_files(self) -> None:
        """CeleryExecutor without a server: messages and results are files."""
        queue = self.home / "queue"
        queue.mkdir()
        self.environment |= {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": "filesystem://",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+sqlite:///{self.home}/results.db",
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__DATA_FOLDER_IN": str(queue),
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__DATA_FOLDER_OUT": str(queue),
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__CONTROL_FOLDER": f"{queue}/control",
        }

    def looked(self) -> dict[str, dict[str, Any]]:
        """What files made from v3/dags/looks.py have said in their descriptions, by their DAGs."""
        rows = self.ask("select dag_id, description from dag where description like '{%'")
        return {name: json.loads(text) for name, text in rows}

    def add_dags(self, *names: str) -> None:
        """Copies files of the test's own into the DAG folder."""
        for name in names:
            shutil.copy(self.dag_files / name, self.dags)

    def run(self, *words: str, code: int = 0) -> str:
        """An `airflow` command to its end; all that it said."""
        return self._to_its_end(["airflow", *words], code, subprocess.STDOUT)

    def python(self, program: str, *words: str) -> str:
        """A Python program beside this Airflow, to its end; its stdout."""
        return self._to_its_end([sys.executable, "-c", program, *words], 0, subprocess.PIPE)

    def _to_its_end(self, words: list[str], code: int, stderr: int) -> str:
        done = subprocess.run(
            words, env=self.environment, stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=900
        )
        said = f"{done.stdout}\n{done.stderr or ''}"
        assert done.returncode == code, f"{' '.join(words)} ended with {done.returncode}: {said}"
        return done.stdout

    @contextlib.contextmanager
    def component(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """An `airflow` command for as long as the block lasts; its output goes to a file in AIRFLOW_HOME."""
        name = "-".join(words)
        with open(self.home / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                ["airflow", *words], env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
            self.components[name] = process
            try:
                yield process
            finally:
                del self.components[name]
                end(process)

    def until(self, is_so: Callable[[], bool], otherwise: str) -> None:
        """Asks until it is so; fails, with everything that was logged, when time is up or a component has ended."""

        def is_so_or_ended() -> bool:
            ended = [name for name, process in self.components.items() if process.poll() is not None]
            assert not ended, f"{ended} ended by itself: {otherwise}\n{self.logs()}"
            return is_so()

        until(is_so_or_ended, lambda: f"{otherwise}\n{self.logs()}")

    def ask(self, query: str, *values: str) -> list[tuple]:
        """The answer of Airflow's database."""
        with contextlib.closing(connect(self.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])) as database:
            cursor = database.cursor()
            marker = "?" if isinstance(database, sqlite3.Connection) else "%s"
            cursor.execute(query.replace("?", marker), values)
            return cursor.fetchall()

    def wait_for(self, query: str, *values: str, wanted: set[str]) -> str:
        """Asks until the first value of the first row is one of `wanted`."""
        rows: list[tuple] = []

        def is_there() -> bool:
            rows[:] = self.ask(query, *values)
            return bool(rows) and rows[0][0] in wanted

        self.until(is_there, f"{query} {values} is none of {wanted}")
        return rows[0][0]

    def wait_until_it_serves(self, path: str) -> None:
        """Waits for the web server."""

        def answers() -> bool:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}{path}", timeout=30):
                return True
            return False

        self.until(answers, f"nobody serves {self.url}{path}")

    def call_api(self, method: str, path: str, body: dict[str, Any], token: str | None = None) -> dict[str, Any]:
        """What Airflow's API answers."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        content = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{self.api}{path}", content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error}: {error.read().decode()}\n{self.logs()}") from error

    def logs(self) -> str:
        """The last lines of every component and task, for a message."""
        paths = [*sorted(self.home.glob("*.log")), *sorted((self.home / "logs").glob("dag_id=*/**/*.log"))]
        return "\n".join(
            f"--- {path.relative_to(self.home)}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-30:])
            for path in paths
        )

    def task_log(self, dag_id: str, task_id: str, attempt: int = 1) -> str:
        """Airflow's own log file of one attempt in the run `test`."""
        path = self.home / f"logs/dag_id={dag_id}/run_id=test/task_id={task_id}/attempt={attempt}.log"
        return path.read_text(errors="replace") if path.exists() else f"no {path}"

    def task_logs(self, dag_id: str) -> str:
        """Everything in Airflow's own log files of one DAG."""
        paths = sorted((self.home / "logs").glob(f"dag_id={dag_id}/**/*.log"))
        return "\n".join(path.read_text(errors="replace") for path in paths)


def need(name: str) -> str:
    """A variable of the runner's."""
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"{name} is not set: run these tests with `make test-airflow`")
    return value


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends the leader of a session, by force where asking twice does not help."""
    for _ in range(2):
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
            return
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def until(is_so: Callable[[], bool], otherwise: Callable[[], str], seconds: float = DEADLINE_SECONDS) -> None:
    """Asks until it is so; fails with the words of `otherwise` when time is up."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.2)


def connect(url: str) -> Any:
    """A connection of Python's to the database that SQLAlchemy calls `url`."""
    scheme, rest = url.split("://", 1)
    if scheme == "sqlite":
        return sqlite3.connect(rest.removeprefix("/"), timeout=30)
    # Only where a test has PostgreSQL.
    import psycopg2

    return psycopg2.connect(f"postgresql://{rest}")


def without_async(url: str) -> dict[str, str]:
    """Settings for Airflow 3 with PostgreSQL: its second connection would want another driver, asyncpg."""
    return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": ""} if url.startswith("postgresql") else {}


def migrate(home: Path, url: str) -> None:
    """Makes the tables of this Airflow in an empty database."""
    environment = {
        **os.environ,
        **SETTINGS,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
        **without_async(url),
    }
    done = subprocess.run(["airflow", "db", "migrate"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
