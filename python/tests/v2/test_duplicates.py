"""Airflow 2 tells two runs of one task on one host apart by their pids: two containers never show it the same."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from airflow_2 import Airflow
from airflow_home import connect
from leftovers import ctr

WORDS = ("tasks", "run", "waits", "waits", "test", "--local", "--force", "--subdir", "DAGS_FOLDER/waits.py")


@contextlib.contextmanager
def started(airflow: Airflow) -> Iterator[subprocess.Popen[bytes]]:
    """The command line that a worker starts for the task."""
    process = subprocess.Popen(["airflow", *WORDS], env=airflow.environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def queue_again(airflow: Airflow) -> None:
    """What the scheduler does with a task whose worker it takes for dead."""
    with contextlib.closing(connect(airflow.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])) as database:
        database.cursor().execute("update task_instance set state = 'queued'")
        database.commit()


def test_the_first_run_of_a_task_notices_a_second_one(airflow: Airflow) -> None:
    airflow.add_dags("waits.py")
    airflow.environment["AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC"] = "1"
    airflow.parse_all()
    airflow.run("dags", "trigger", "waits", "--run-id", "test")
    with started(airflow):
        airflow.until(lambda: airflow.task_logs("waits").count("the task waits") == 1, "the first does not run")
        (one,) = airflow.ask("select hostname, pid from task_instance")
        # It must not look at the task in between, as it would not on a host that hangs for a while.
        (container,) = ctr("containers", "ls", "-q")
        ctr("tasks", "pause", container)
        queue_again(airflow)
        with started(airflow) as second:
            airflow.until(lambda: airflow.task_logs("waits").count("the task waits") == 2, "the second does not run")
            (other,) = airflow.ask("select hostname, pid from task_instance")
            # Both show the worker's host name; only by the pid the first sees that the task is no longer its own.
            assert one[0] == other[0] and one[1] != other[1]
            ctr("tasks", "resume", container)
            # What it does then is Airflow's affair: it ends when this has gone on for a while.
            noticed = "Heartbeat failed with Exception: PID of job runner does not match"
            airflow.until(lambda: noticed in airflow.task_logs("waits"), "the first takes the second for itself")
            assert second.poll() is None
