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


def test_what_warns_is_left_to_each_file(site: Path, tmp_path: Path) -> None:
    (site / "airflow/old.py").write_text("import warnings, airflow.one\nwarnings.warn('old', UserWarning)\n")
    file = tmp_path / "dag.py"
    file.write_text("import airflow.old\nimport airflow.lazy\n")
    assert imported(site, file) == "['airflow', 'airflow.lazy']"


@pytest.fixture
def authors(tmp_path: Path) -> Path:
    """A directory that authors write to, in which everything ends the program that imports it."""
    for name in ("wanted/__init__.py", "airflow/evil/__init__.py", "airflow/evil/x.py"):
        path = tmp_path / "authors" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import os\nos._exit(99)\n")
    return tmp_path / "authors"


# What a program does, and what it prints, in turn: modules that are imported ahead, and sys.path in a fork.
PROGRAM = """
import sys
sys.path[0] = sys.argv[1]
import _ahead, _paths
_paths.start_again()
del sys.path[0]
_paths.begin([sys.argv[3]] if sys.argv[3] else [])
import airflow
sys.path.append("/config")
if sys.argv[4] not in sys.path:
    sys.path.append(sys.argv[4])
before = [*sys.path]
_paths.loaded()
_ahead.import_ahead(sys.argv[2])
print(sorted(name for name in sys.modules if name.startswith("airflow.")))
after = [*sys.path]
_paths.give_back()
ours = lambda path: [part for part in path if "/lib/python" not in part]
print([ours(part) for part in (before, after, sys.path)])
"""


def program(site: Path, dag_file: Path, tmp_path: Path, authors: str, path: str) -> list[str]:
    """What a program says whose PYTHONPATH begins with `path`, and whose Airflow adds it too."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": f"{path}:{site}"}
    words = [sys.executable, "-ES", str(script), str(INSIDE), str(dag_file), authors, path]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("known", [True, False])
def test_nothing_of_authors_is_executed_in_the_program(site: Path, authors: Path, tmp_path: Path, known: bool) -> None:
    extend = "import pkgutil\n__path__ = pkgutil.extend_path(__path__, __name__)\n"
    (site / "airflow/__init__.py").write_text(extend)
    (site / "airflow/needs.py").write_text("import wanted\n")
    (site / "airflow/may.py").write_text("try:\n    import wanted\nexcept ImportError:\n    wanted = None\n")
    if known:
        (authors / "airflow/__init__.py").write_text("raise SystemExit(99)\n")
        (authors / "sitecustomize.py").write_text("import os\nos._exit(99)\n")
    file = tmp_path / "dag.py"
    file.write_text(
        "import airflow.evil\nimport airflow.evil.x\nimport airflow.needs\nimport airflow.may\nimport airflow.one\n"
    )
    found, _ = program(site, file, tmp_path, str(authors) if known else "", str(authors))
    assert found == "['airflow.one']"


def test_a_fork_imports_from_where_airflow_would(site: Path, authors: Path, tmp_path: Path) -> None:
    file = tmp_path / "dag.py"
    file.write_text("")
    there = str(authors)
    without, everything = [str(site), "/config"], [there, str(site), "/config"]
    assert program(site, file, tmp_path, there, there)[1] == str([without, without, everything])
    # What is not authors' is the operator's, and counts for all but what is imported ahead.
    assert program(site, file, tmp_path, "", there)[1] == str([everything, without, everything])
