"""The real scheduler, DAG processor, triggerer and executor run DAGs in containers: LocalExecutor, then CeleryExecutor.

Every DAG is started at once, when the first test begins (`conftest.py`); each test looks at what becomes of one.
"""

from __future__ import annotations

import json
import os
import signal

import leftovers
import pytest
from airflow_home import until
from running import AIRFLOW_2, TEN, Running

# Within it, a task that ended itself, was killed or whose worker died has to be gone: the kernel needs a moment for
# all of its processes, and a loaded machine longer.
AT_ONCE_SECONDS = 20
# A task hears that it was marked with the next heartbeat, 5 seconds; then airtight's stop_timeout is 10, and so is what
# the tests give Airflow 2, which stops its task itself.
STOP_SECONDS = 5 + 10 + AT_ONCE_SECONDS

LIBRARIES = {"ten_lib1": "2.13.0", "ten_lib2": "3.0.4"}


def xcom(running: Running, dag_id: str, task_id: str) -> object:
    """What a task returned."""
    query = "select value from xcom where dag_id = ? and task_id = ? and key = 'return_value'"
    ((value,),) = running.airflow.ask(query, dag_id, task_id)
    return json.loads(bytes(value)) if isinstance(value, memoryview) else value


def test_a_task_whose_worker_is_killed_is_gone_at_once(running: Running) -> None:
    process = running.process("killed")
    container = leftovers.container_of(process)
    assert container in leftovers.ctr("containers", "ls", "-q")
    os.kill(running.worker("killed"), signal.SIGKILL)
    until(
        lambda: not os.path.exists(f"/proc/{process}"), lambda: "what the task started is still there", AT_ONCE_SECONDS
    )


def test_a_task_that_is_marked_as_failed_is_gone_within_its_stop_timeout(running: Running) -> None:
    process = running.process("marked")
    container = leftovers.container_of(process)
    running.airflow.mark_failed("marked", "stays")
    until(
        lambda: container not in leftovers.ctr("containers", "ls", "-q"),
        lambda: f"its container is still there\n{running.airflow.logs()}",
        STOP_SECONDS,
    )
    assert not os.path.exists(f"/proc/{process}")
    assert running.ended("marked") == "failed"


def test_a_task_that_takes_longer_than_its_execution_timeout_fails_and_its_log_says_why(running: Running) -> None:
    assert running.ended("late") == "failed"
    assert "AirflowTaskTimeout" in running.airflow.task_log("late", "stays")
    # What it has started is another process, deaf to SIGTERM.
    until(
        lambda: not leftovers.processes_with(f"{running.marker}-late"),
        lambda: "what the task started is still there",
        STOP_SECONDS,
    )


def test_airflows_log_explains_a_task_that_was_killed_for_memory(running: Running) -> None:
    assert running.ended("eats") == "failed"
    # Airflow 2 gives the address of its page about memory.
    words = "return code -9. For more information, see" if AIRFLOW_2 else "Likely out of memory error (OOM)"
    assert words in running.airflow.task_log("eats", "takes_all")


@pytest.mark.parametrize("dag_id", TEN)
def test_ten_tasks_run_to_success_with_the_library_of_their_file_s_image(running: Running, dag_id: str) -> None:
    airflow = running.airflow
    assert running.ended(dag_id) == "success", airflow.logs()

    library = LIBRARIES[dag_id]
    ((description,),) = airflow.ask("select description from dag where dag_id = ?", dag_id)
    assert description == f"semver {library}, green"
    assert xcom(running, dag_id, "report") == {
        "library": library,
        "python": "/opt/venv",
        "total": 1 + 4 + 9,
        "attempts": 2,
        "bash": "the total is 14",
    }
    assert "a line on stdout" in airflow.task_log(dag_id, "library")
    assert "the first attempt" in airflow.task_log(dag_id, "fails_once")
    assert "Pausing task as DEFERRED" in airflow.task_log(dag_id, "waits")
    mapped = "select count(*) from task_instance where dag_id = ? and task_id = 'square' and state = 'success'"
    assert airflow.ask(mapped, dag_id) == [(3,)]
