"""Warm parsers, as the real DAG processor of Airflow 2 uses them: what they share, what they do not, how they end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from airflow_2 import Airflow

PARSE_ALL = Path(__file__).with_name("parse_all.py")

CALL = """
import sys
from airflow.callbacks.callback_requests import DagCallbackRequest
from airflow.callbacks.database_callback_sink import DatabaseCallbackSink
folder = sys.argv[1]
DatabaseCallbackSink().send(DagCallbackRequest(
    full_filepath=f"{folder}/calls.py", dag_id="calls", run_id="a_run", processor_subdir=folder, msg="failed"
))
"""


@pytest.fixture
def one_at_a_time(airflow: Airflow) -> Airflow:
    """A DAG processor that parses one file after the other, by their names."""
    airflow.environment |= {
        "AIRFLOW__SCHEDULER__PARSING_PROCESSES": "1",
        "AIRFLOW__SCHEDULER__FILE_PARSING_SORT_MODE": "alphabetical",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "0",
    }
    return airflow


def add(airflow: Airflow, name: str, copy: str) -> None:
    """A file of tests/v3/dags under another name, for Airflow 2."""
    text = (Path(__file__).parents[1] / "v3/dags" / name).read_text()
    (airflow.home / "dags" / copy).write_text(text.replace("airflow.sdk", "airflow"))


def errors(airflow: Airflow) -> dict[str, str]:
    """Import errors by the names of the files."""
    rows = airflow.ask("select filename, stacktrace from import_error")
    return {Path(name).name: text for name, text in rows}


def test_files_share_a_container_and_see_nothing_of_each_other(one_at_a_time: Airflow) -> None:
    add(one_at_a_time, "looks.py", "one.py")
    add(one_at_a_time, "looks.py", "two.py")
    said = one_at_a_time.parse_all()
    found = one_at_a_time.looked()
    assert found.keys() == {"one", "two"}, said
    assert found["one"] == found["two"]
    seen = found["one"]["seen"]
    nothing = ("modules", "environment", "path", "arguments", "processes")
    assert {name: seen[name] for name in nothing} == {name: [] for name in nothing}


def test_nothing_of_the_dags_folder_is_executed_before_a_file_is(airflow: Airflow) -> None:
    # The image has no package of this name, and it is asked for by a module of Airflow's that a file names.
    (airflow.dags / "kubernetes").mkdir()
    (airflow.dags / "kubernetes/__init__.py").write_text("")
    (airflow.dags / "sitecustomize.py").write_text("import sys\nsys.executed = True\n")
    airflow.environment["PYTHONPATH"] = f"{airflow.dags}:{airflow.environment['PYTHONPATH']}"
    (airflow.dags / "early.py").write_text(
        "import sys\nfrom airflow import DAG\nearly = ['kubernetes' in sys.modules, hasattr(sys, 'executed')]\n"
        "try:\n    import airflow.kubernetes.pre_7_4_0_compatibility.secret\nexcept ImportError:\n    pass\n"
        "import kubernetes\ndag = DAG('early', description=f'{early} {sys.path[0]}', schedule=None)\n"
    )
    said = airflow.parse_all()
    ((description,),) = airflow.ask("select description from dag where dag_id = 'early'") or [(said,)]
    assert description == f"[False, False] {airflow.dags}", errors(airflow)


def test_a_file_that_takes_too_long_is_killed_with_all_it_started_and_the_next_is_parsed(
    one_at_a_time: Airflow,
) -> None:
    add(one_at_a_time, "looks.py", "a.py")
    add(one_at_a_time, "hangs.py", "b.py")
    add(one_at_a_time, "looks.py", "c.py")
    said = one_at_a_time.parse_all(limit=20)
    found = one_at_a_time.looked()
    assert found.keys() == {"a", "c"}, said
    assert found["a"] == found["c"]
    assert found["c"]["seen"]["processes"] == []


def test_a_file_that_eats_memory_is_an_import_error_of_that_file_alone(one_at_a_time: Airflow) -> None:
    one_at_a_time.environment["AIRFLOW__DOCKER_RUNTIME__MEMORY"] = "600m"
    one_at_a_time.environment["AIRFLOW__SCHEDULER_DAG_PARSING_DOCKER_RUNTIME__LIMIT_RESOURCE"] = "true"
    add(one_at_a_time, "looks.py", "a.py")
    add(one_at_a_time, "eats.py", "b.py")
    add(one_at_a_time, "looks.py", "c.py")
    said = one_at_a_time.parse_all()
    assert errors(one_at_a_time).keys() == {"b.py"}, said
    assert "killed by SIGKILL, as the kernel does where a container's memory limit" in errors(one_at_a_time)["b.py"]
    found = one_at_a_time.looked()
    assert found["a"] == found["c"]


def test_callbacks_of_a_dag_are_called_in_its_container(airflow: Airflow) -> None:
    airflow.environment |= {
        "AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR": "True",
        "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "0",
    }
    folder = str(airflow.home / "dags")
    airflow.add_dags("calls.py")
    airflow.parse_all()
    airflow.run("dags", "trigger", "calls", "--run-id", "a_run")
    # A processor takes callbacks up only when it has begun to parse.
    again = PARSE_ALL.read_text().replace("max_runs=1", "max_runs=4")
    for words in ([CALL, folder], [again, folder, "100"]):
        done = subprocess.run(
            [sys.executable, "-c", *words], env=airflow.environment, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "in a container for calls" in airflow.run("variables", "get", "called")
