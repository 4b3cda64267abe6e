"""Airflow 3: a task whose image has another minor version runs with its whole supervisor in the container."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow_3 import Airflow
from airflow_home import DEADLINE_SECONDS, need
from from_the_host import containers
from test_tasks import run_dag, xcom

HERE = Path(__file__).parent
HOST = need("AIRTIGHT_TEST_AIRFLOW")
STATE = "select state from task_instance where dag_id = ?"
# A supervisor called with a task that nobody queued: what is refused before the API server hears of it.
REFUSED = """
import types, uuid
from airflow.sdk.execution_time import supervisor
supervise = getattr(supervisor, "supervise_task", None) or supervisor.supervise
ti = types.SimpleNamespace(id=uuid.uuid4(), dag_id="good", task_id="one", queue="default")
bundle = types.SimpleNamespace(name="dags-folder", version=None)
try:
    supervise(ti=ti, bundle_info=bundle, dag_rel_path="good.py", token="t", server="http://a", log_path="a.log")
except Exception as error:
    print(type(error).__name__, error)
"""

# Which Airflow the image of a DAG file has.
LOOK = """
import os, sys
from airtight_airflow import _command, _image_airflow
run = _command.Run(_command.TASK_EXECUTION, sys.argv[1], _image_airflow.PROGRAM, read_only=[sys.argv[2]])
print(_image_airflow.look(run, os.environ).airflow)
"""


def minor(version: str) -> str:
    """3.2 of 3.2.2."""
    return ".".join(version.split(".")[:2])


def imported(archive: Path) -> str:
    """The name of the first image of an archive."""
    command = ["airtight", "image", "import", str(archive)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[0]


@pytest.fixture(scope="session")
def archives() -> Path:
    """Where the images of every version are."""
    return Path(need("AIRTIGHT_TEST_AIRFLOW_IMAGE")).resolve().parent


@pytest.fixture(scope="session")
def other_version(archives: Path) -> str:
    """A version of Airflow 3 of another minor than the host's."""
    names = [re.fullmatch(r"airflow-(3\..*)\.tar", path.name) for path in sorted(archives.iterdir())]
    others = [name[1] for name in names if name and minor(name[1]) != minor(HOST)]
    assert others, f"{archives} has no image with Airflow 3 of another minor than {minor(HOST)}"
    return others[0]


@pytest.fixture(scope="session")
def other_image(archives: Path, other_version: str) -> str:
    """An image with it."""
    return imported(archives / f"airflow-{other_version}.tar")


@pytest.fixture
def mixed(airflow: Airflow, other_image: str) -> Airflow:
    """An Airflow whose tasks, not whose DAG parsers, are of the other image."""
    airflow.environment |= {
        "AIRFLOW__CORE__SCHEDULER_DAG_PARSING_RUNTIME": "",
        "AIRFLOW__TASK_EXECUTION_DOCKER_RUNTIME__IMAGE": other_image,
        "AIRFLOW__TASK_EXECUTION_DOCKER_RUNTIME__NETWORK_MODE": "host",
    }
    return airflow


@contextlib.contextmanager
def waiting(airflow: Airflow) -> Iterator[subprocess.Popen[str]]:
    """The task `waits.waits` while it runs, and the process that supervises it as a worker's would."""
    airflow.add_dags("whole.py")
    airflow.parse_all()
    airflow.run("dags", "unpause", "waits")
    airflow.run("dags", "trigger", "waits", "--run-id", "test")
    with airflow.component("api-server"):
        airflow.wait_until_it_serves("/api/v2/version")
        worker = deliver(airflow)
        try:
            airflow.until(
                lambda: worker.poll() is not None or "the task waits" in airflow.task_logs("waits"), "it does not wait"
            )
            assert worker.poll() is None, airflow.logs()
            yield worker
        finally:
            worker.kill()
            worker.communicate()


def deliver(airflow: Airflow) -> subprocess.Popen[str]:
    """Gives the task to a process such as an executor has."""
    command = [sys.executable, str(HERE / "deliver.py"), "waits", "waits"]
    return subprocess.Popen(command, env=airflow.environment, stderr=subprocess.PIPE, text=True)


def test_a_task_of_another_minor_version_runs_to_success_with_its_log_in_airflows_own_place(
    mixed: Airflow, other_version: str
) -> None:
    mixed.add_dags("whole.py")
    mixed.run("variables", "set", "two", "2")
    state = run_dag(mixed, "whole")
    logs = mixed.task_logs("whole")
    assert state == "success", logs + mixed.logs()

    assert xcom(mixed, "place") == [[other_version, True, "{}"]]
    assert xcom(mixed, "fails_once") == [7]
    assert f"the image has Airflow {other_version} and this worker {minor(HOST)}: the task's whole supervisor" in logs
    assert "a line on stdout" in logs and "the first attempt" in logs
    assert re.search(r"airtight: run key-\w+: it ended with exit code 0, after .* memory peak", logs)
    # Airflow asks this host for the log of a running task.
    host = mixed.python("from airflow.sdk.api.client import get_hostname; print(get_hostname())").splitlines()[-1]
    assert set(mixed.ask("select distinct hostname from task_instance where dag_id = 'whole'")) == {(host,)}


def test_a_task_that_somebody_marks_failed_is_stopped_and_its_container_is_gone(mixed: Airflow) -> None:
    with waiting(mixed) as worker:
        mixed.mark_failed("waits", "waits")
        worker.wait(DEADLINE_SECONDS)
        assert containers() == []
        assert "on_kill was called" in mixed.task_logs("waits")


def test_sigterm_of_the_worker_calls_on_kill_and_ends_the_container(mixed: Airflow) -> None:
    with waiting(mixed) as worker:
        worker.send_signal(signal.SIGTERM)
        worker.wait(DEADLINE_SECONDS)
        assert containers() == []
        assert "on_kill was called" in mixed.task_logs("waits")
        # From 3.3 on, the supervisor waits until it is killed; its executor then says that the task failed.
        assert worker.returncode == 1 or mixed.ask(STATE, "waits") == [("failed",)]


def test_a_task_that_is_delivered_twice_runs_once(mixed: Airflow) -> None:
    # The key of the try refuses it here; on another host, the API server would.
    with waiting(mixed) as worker:
        first = containers()
        again = deliver(mixed)
        _, said = again.communicate(timeout=DEADLINE_SECONDS)
        assert again.returncode != 0 and 'a run with key "waits/waits/' in said, said
        assert containers() == first and worker.poll() is None
        assert mixed.ask(STATE, "waits") == [("running",)]


def test_without_a_network_it_is_refused_and_the_tasks_log_names_the_key(mixed: Airflow) -> None:
    mixed.environment["AIRFLOW__TASK_EXECUTION_DOCKER_RUNTIME__NETWORK_MODE"] = "none"
    mixed.add_dags("good.py")
    assert "NETWORK_MODE = none leaves it no network" in mixed.python(REFUSED)
    assert "NETWORK_MODE = none leaves it no network" in (mixed.home / "logs/a.log").read_text()


def test_an_image_with_airflow_2_is_refused(mixed: Airflow, archives: Path) -> None:
    (archive,) = archives.glob("airflow-2.11.*.tar")
    mixed.environment["AIRFLOW__TASK_EXECUTION_DOCKER_RUNTIME__IMAGE"] = imported(archive)
    mixed.add_dags("good.py")
    assert "a task of Airflow 3 needs an image with Airflow 3" in mixed.python(REFUSED)


@pytest.mark.parametrize(
    ("image", "host", "why"),
    [
        ("3.99.0", (3, 3), "the image has Airflow 3.99.0: airtight_airflow does not know Airflow 3.99.0"),
        ("3.2.2", (3, 0), "name an image with Airflow 3.0"),
    ],
)
def test_an_image_that_no_way_leads_into_is_refused(
    plain_airflow: Airflow, image: str, host: tuple[int, int], why: str
) -> None:
    program = (
        "from airtight_airflow import tasks_v3, _image_airflow as i\n"
        f"tasks_v3._fits(i.Image({image!r}, 'host', 10), {host})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=plain_airflow.environment, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert why in done.stderr


def test_a_missing_image_is_said_in_the_tasks_log(mixed: Airflow) -> None:
    mixed.environment["AIRFLOW__TASK_EXECUTION_DOCKER_RUNTIME__IMAGE"] = "not-here:1"
    mixed.add_dags("good.py")
    assert "ImageError" in mixed.python(REFUSED)
    assert "not-here" in (mixed.home / "logs/a.log").read_text()


def test_what_an_author_sets_does_not_change_which_airflow_the_image_is_taken_to_have(airflow: Airflow) -> None:
    airflow.add_dags("good.py")
    python = airflow.dags / "bin/python3"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho 9.9.9\n")
    python.chmod(0o755)
    settings = f"docker_runtime:\n  environments:\n    PATH: {python.parent}:/usr/bin:/bin\n"
    (airflow.dags / "good.py.metadata.yaml").write_text(settings)
    assert airflow.python(LOOK, str(airflow.dags / "good.py"), str(airflow.dags)).strip() == HOST
    (kept,) = (airflow.home / ".airtight/airflow-of-image").iterdir()
    assert kept.read_text() == HOST
