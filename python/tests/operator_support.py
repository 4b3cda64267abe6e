"""What the tests of AirtightOperator share: a home for Airflow, the package's entry points, images, and a run.

In: AIRTIGHT_BIN or airtight on PATH, AIRTIGHT_TEST_IMAGES, and the containerd of `scripts/with-containerd`. Must be
imported before Airflow is: Airflow reads its settings once.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomllib

PROJECT = Path(__file__).resolve().parents[1]
HOME = Path(tempfile.mkdtemp(prefix="airflow-home-"))

SETTINGS = {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(HOME / "dags"),
}


def install() -> str:
    """What pip would leave of this package for Airflow to find; the directory that has to be on PYTHONPATH."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    info = HOME / "site" / f"airtight_airflow-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    provider = project["entry-points"]["apache_airflow_provider"]
    lines = [f"{name} = {target}\n" for name, target in provider.items()]
    (info / "entry_points.txt").write_text("[apache_airflow_provider]\n" + "".join(lines))
    return str(info.parent)


os.environ.update(SETTINGS)
PATHS = [install(), str(PROJECT / "src")]
sys.path[:0] = PATHS


def airtight(*words: str) -> str:
    """What an airtight command prints."""
    return subprocess.run(
        [os.environ.get("AIRTIGHT_BIN", "airtight"), *words], check=True, capture_output=True, text=True
    ).stdout


def containers() -> str:
    """The ids of all containers that containerd knows."""
    words = ["ctr", "-n", "airtight", "containers", "ls", "-q"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def in_thread(
    operator: Any, at_the_end: Callable[[], object] = lambda: None
) -> tuple[threading.Thread, list[BaseException]]:
    """Runs the operator elsewhere; the list gets its exception."""
    raised: list[BaseException] = []
    # Airflow 2's guard against calls from elsewhere than a task knows the main thread only.
    execute = inspect.unwrap(type(operator).execute)

    def run() -> None:
        try:
            execute(operator, {})
        except BaseException as why:
            raised.append(why)
        finally:
            at_the_end()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, raised


class Log:
    """Stands for an operator's logger, which is the standard library's in Airflow 2 and structlog's in Airflow 3."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    @property
    def text(self) -> str:
        """Every message, one a line."""
        return "\n".join(message for _, message in self.lines)

    def __getattr__(self, level: str):
        if level not in ("debug", "info", "warning", "error"):
            raise AttributeError(level)
        return lambda message, *values: self.lines.append((level, message % values if values else message))
