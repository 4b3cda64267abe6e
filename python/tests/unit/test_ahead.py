"""What is imported ahead of a DAG file: found in its text, which nobody executes, and in Airflow's own place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import airtight_airflow

INSIDE = Path(airtight_airflow.__file__).parent / "inside"

AHEAD = """
import sys
sys.path.insert(0, sys.argv[1])
import _ahead
before = set(sys.modules)
_ahead.import_ahead(sys.argv[2])
print(sorted(name for name in sys.modules if name.startswith("airflow") and name not in before))
"""


def named(text: str) -> str:
    """What `named_in` finds."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); import _ahead; print(_ahead.named_in(sys.argv[2]))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(INSIDE), text], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with something that calls itself Airflow."""
    for name, text in (
        ("__init__.py", ""),
        ("one.py", ""),
        ("lazy/__init__.py", "def __getattr__(name):\n    import airflow.lazy.loaded\n    return 1\n"),
        ("lazy/loaded.py", ""),
        ("lazy/module.py", ""),
        ("broken.py", "raise SystemExit(1)\n"),
        ("example_dags/__init__.py", ""),
        ("example_dags/a.py", ""),
    ):
        path = tmp_path / "site/airflow" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "site"


def imported(site: Path, dag_file: Path) -> str:
    """What is imported ahead of a file, beside the package itself."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    words = [sys.executable, "-c", AHEAD, str(INSIDE), str(dag_file)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import airflow.models", "[('airflow.models', [])]"),
        (
            "from airflow.sdk import DAG, task as t\nfrom airflow.x import y",
            "[('airflow.sdk', ['DAG', 'task']), ('airflow.x', ['y'])]",
        ),
        ("from airflow.sdk import (\n    DAG,\n    task,\n)\nx = 1", "[('airflow.sdk', ['DAG', 'task'])]"),
        ("if True:\n    import airflow", "[('airflow', [])]"),
        ("import airflowing\nimport os, sys\nfrom . import airflow", "[]"),
        ("(" * 10000 + "-" * 10000, "[]"),
    ],
)
def test_what_a_file_names(text: str, found: str) -> None:
    assert named(text) == found


def test_modules_of_airflow_are_imported_and_names_that_it_loads_when_asked(site: Path, tmp_path: Path) -> None:
    file = tmp_path / "dag.py"
    file.write_text(
        "import airflow.broken, os\nfrom airflow.one import x\nfrom airflow.lazy import name\n"
        "import airflow.example_dags.a\nraise SystemExit('executed')\n"
    )
    assert imported(site, file) == "['airflow', 'airflow.lazy', 'airflow.lazy.loaded', 'airflow.one']"


def test_a_module_from_elsewhere_is_not_imported(site: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "plugins/airflow_of_mine"
    elsewhere.mkdir(parents=True)
    (elsewhere / "mine.py").write_text("raise SystemExit('executed')\n")
    (site / "airflow/__init__.py").write_text(f"__path__.append({str(elsewhere)!r})\n")
    file = tmp_path / "dag.py"
    file.write_text("import airflow.mine\nimport airflow.one\n")
    assert imported(site, file) == "['airflow', 'airflow.one']"


def test_a_file_that_is_none_is_left_alone(site: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "dag.py"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, tmp_path / "missing.py"):
        assert imported(site, path) == "['airflow']"
