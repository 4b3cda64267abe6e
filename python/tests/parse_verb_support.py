"""`airtight parse`, as a person at a shell calls it, for the tests with both versions of Airflow."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Parses for Airflow versions 2 and 3 alike; without a host's name or time in it.
DAG = """
import datetime

import beside
from airflow import DAG
from airflow.models import Variable

with DAG(f"dag_{Variable.get('colour', 'plain')}", start_date=datetime.datetime(2026, 1, 1), schedule=None) as dag:
    first, second = (beside.operator(name) for name in ("first", "second"))
    first >> second
"""

BESIDE = """
try:
    from airflow.providers.standard.operators.empty import EmptyOperator
except ImportError:
    from airflow.operators.empty import EmptyOperator


def operator(name):
    return EmptyOperator(task_id=name)
"""

# What the host's own Airflow makes of a file.
ON_THE_HOST = """
import json, sys
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag
try:
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization
file, bundle = sys.argv[1:]
sys.path.append(bundle)
try:
    bag = DagBag(file, bundle_path=bundle)
except TypeError:
    bag = DagBag(file, include_examples=False)
(dag,) = bag.dags.values()
print("\\n" + json.dumps(DagSerialization.to_dict(dag)))
"""


def parse(environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """`airtight parse WORDS` to its end."""
    return subprocess.run(["airtight", "parse", *words], env=environment, capture_output=True, text=True, timeout=240)


def files(environment: Mapping[str, str], *words: str) -> dict[str, Any]:
    """What it says as JSON, by the names of files."""
    done = parse(environment, "--format", "json", *words)
    return {Path(file["file"]).name: file for file in json.loads(done.stdout)}


def write_dags(folder: Path) -> None:
    """One good DAG file with a module beside it, and some that are not good."""
    (folder / "team").mkdir()
    for name, text in {
        "team/good.py": DAG,
        "beside.py": BESIDE,
        "broken.py": "from airflow import DAG\nimport no_such_module_anywhere\n",
        "loops.py": "from airflow import DAG\nprint('round and round')\nwhile True:\n    pass\n",
        "ends.py": "from airflow import DAG\nimport os\nprint('good bye')\nos._exit(7)\n",
        "ignored.py": "from airflow import DAG\n",
        ".airflowignore": "ignored.py\n",
    }.items():
        (folder / name).write_text(text)


def serialized_on_the_host(environment: Mapping[str, str], file: Path, bundle: Path) -> Any:
    """The DAG as the Airflow of these tests serializes it."""
    command = [sys.executable, "-c", ON_THE_HOST, str(file), str(bundle)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def check_table(environment: Mapping[str, str], folder: Path) -> None:
    """All kinds of files in one folder, as a table."""
    write_dags(folder)
    done = parse(environment, "--timeout", "20s", str(folder))
    assert done.returncode == 1, done
    rows = {Path(line.split()[0]).name: line.split()[1:] for line in done.stdout.splitlines()[1:5]}
    assert set(rows) == {"good.py", "broken.py", "loops.py", "ends.py"}, done.stdout
    assert rows["good.py"][:4] == ["dag_plain", "2", "0", "0"], done.stdout
    for words in (
        "No module named 'no_such_module_anywhere'",
        "it took longer than 20 s and was killed; it had printed:",
        "round and round",
        "ended with exit code 7",
        "good bye",
        "4 files, 1 DAG, 3 import errors, 0 warnings",
    ):
        assert words in done.stdout, done.stdout


def check_serialized(environment: Mapping[str, str], folder: Path) -> None:
    """A DAG is what it is on the host; a variable that somebody hands in counts."""
    write_dags(folder)
    good = folder / "team/good.py"
    (dag,) = files(environment, str(good))["good.py"]["dags"]
    assert (dag["dag_id"], dag["tasks"]) == ("dag_plain", 2)
    assert dag["serialized"] == serialized_on_the_host(environment, good, folder)
    (dag,) = files(environment, "-e", "AIRFLOW_VAR_COLOUR=green", str(good))["good.py"]["dags"]
    assert dag["dag_id"] == "dag_green"
    assert parse(environment, "--cold", str(good)).returncode == 0
