"""Which of our patches are put in when their modules are imported: those of the halves whose flag is on.

Airflow here is a stand-in; tests/v2 and tests/v3 have the real one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import airtight_airflow

PACKAGES = str(Path(airtight_airflow.__file__).parents[1])

PROGRAM = """
import sys
from airtight_airflow import _after_import, plugin, tasks_v3
plugin.install_parsing = lambda: print("parsing")
tasks_v3.refuse_callbacks = lambda module: print("callbacks")
import airflow.dag_processing.manager, airflow.sdk.execution_time.callback_supervisor
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """What these modules import of Airflow, and no more."""
    for name, text in (
        ("__init__.py", ""),
        (
            "configuration.py",
            "import os\nclass conf:\n    get = staticmethod(lambda section, key, fallback: os.environ.get(key, ''))\n",
        ),
        ("listeners/__init__.py", "hookimpl = lambda function: function\n"),
        ("plugins_manager.py", "class AirflowPlugin: pass\n"),
        ("dag_processing/__init__.py", ""),
        ("dag_processing/manager.py", ""),
        ("sdk/__init__.py", ""),
        ("sdk/execution_time/__init__.py", ""),
        ("sdk/execution_time/callback_supervisor.py", ""),
    ):
        path = tmp_path / "airflow" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "installed"),
    [
        ({}, "parsing"),
        ({"scheduler_dag_parsing_runtime": "docker"}, "parsing"),
        ({"task_execution_runtime": "docker"}, "parsing callbacks"),
        ({"task_execution_runtime": "a mistake"}, "parsing callbacks"),
    ],
)
def test_each_flag_has_its_half_installed(site: Path, flags: dict[str, str], installed: str) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{site}:{PACKAGES}", **flags}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=30
    )
    # Whether its flag is on, `install_parsing` asks itself.
    expected = installed.split() if flags else []
    assert done.stdout.split() == expected
