"""What is patched in Airflow 3, when, and what refuses to start."""

from __future__ import annotations

import json
import subprocess
import sys

from airflow_3 import Airflow

SEAMS = """
from airflow.dag_processing.processor import DagFileProcessorProcess
from airflow.sdk.execution_time.supervisor import ActivitySubprocess
before = (DagFileProcessorProcess.start.__func__, ActivitySubprocess.start.__func__)
from airtight_airflow.plugin import install
install()
install()
after = (DagFileProcessorProcess.start.__func__, ActivitySubprocess.start.__func__)
print([old is new for old, new in zip(before, after)], [getattr(new, "_airtight", None) is not None for new in after])
"""
COORDINATOR = """
from airflow.sdk.execution_time import coordinator, supervisor
class Process:
    final_state = "success"
    wait = lambda self: 0
seen = []
supervisor.ActivitySubprocess.start = classmethod(lambda cls, **given: seen.append("target" in given) or Process())
found = coordinator.get_coordinator_manager().for_queue("sealed")
import airtight_airflow.tasks_v3 as tasks
tasks.target = lambda *given: "a target"
given = dict(what=None, dag_rel_path="a.py", bundle_info=None, client=None, subprocess_logs_to_stdout=False)
result = found.execute_task(**given)
print(type(found).__name__, result.exit_code, result.final_state, seen)
"""


def test_with_both_flags_off_nothing_is_patched(plain_airflow: Airflow) -> None:
    assert plain_airflow.python(SEAMS).splitlines()[-1] == "[True, True] [False, False]"


def test_each_flag_patches_its_half(plain_airflow: Airflow) -> None:
    plain_airflow.environment["AIRFLOW__CORE__SCHEDULER_DAG_PARSING_RUNTIME"] = "docker"
    assert plain_airflow.python(SEAMS).splitlines()[-1] == "[False, True] [True, False]"
    plain_airflow.environment["AIRFLOW__CORE__TASK_EXECUTION_RUNTIME"] = "docker"
    # Importing the supervisor was enough for that of tasks: test_celery_seams.py.
    assert plain_airflow.python(SEAMS).splitlines()[-1] == "[False, True] [True, True]"


def test_a_component_does_not_start_with_a_mistake_in_a_flag(plain_airflow: Airflow) -> None:
    plain_airflow.environment["AIRFLOW__CORE__SCHEDULER_DAG_PARSING_RUNTIME"] = "dokcer"
    command = ["airflow", "dag-processor", "--num-runs", "1"]
    done = subprocess.run(command, env=plain_airflow.environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "scheduler_dag_parsing_runtime = dokcer: it must be docker, or empty for off" in done.stderr


def test_the_coordinator_gives_a_target_only_while_its_flag_is_on(plain_airflow: Airflow) -> None:
    classpath = {"airtight": {"classpath": "airtight_airflow.tasks_v3.AirtightCoordinator"}}
    plain_airflow.environment["AIRFLOW__SDK__COORDINATORS"] = json.dumps(classpath)
    plain_airflow.environment["AIRFLOW__SDK__QUEUE_TO_COORDINATOR"] = json.dumps({"sealed": "airtight"})
    assert plain_airflow.python(COORDINATOR).splitlines()[-1] == "AirtightCoordinator 0 success [False]"
    plain_airflow.environment["AIRFLOW__CORE__TASK_EXECUTION_RUNTIME"] = "docker"
    assert plain_airflow.python(COORDINATOR).splitlines()[-1] == "AirtightCoordinator 0 success [True]"


def test_what_crosses_holds_no_secret_and_no_default(plain_airflow: Airflow) -> None:
    plain_airflow.environment["AIRFLOW__CORE__DEFAULT_TASK_RETRIES"] = "3"
    program = "import json; from airtight_airflow import _crossing; print(json.dumps(dict(_crossing.settings())))"
    crossing = json.loads(plain_airflow.python(program).splitlines()[-1])
    assert crossing["AIRFLOW__CORE__DEFAULT_TASK_RETRIES"] == "3"
    assert "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT" not in crossing
    assert not [name for name, value in crossing.items() if "airtight-secret-" in value or "FERNET" in name]


def test_importing_the_package_imports_no_airflow() -> None:
    program = "import airtight_airflow, sys; print([name for name in sys.modules if name.split('.')[0] == 'airflow'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
