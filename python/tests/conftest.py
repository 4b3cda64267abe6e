"""What every test with a real Airflow needs: the image in the private containerd, and an AIRFLOW_HOME of its own.

In: the variables that scripts/test-airflow sets. Out: fixtures. Must never use an Airflow or a containerd of the host.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import leftovers
import pytest
from airflow_home import migrate, need


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database, since making one takes long."""
    home = tmp_path_factory.mktemp("migrated")
    migrate(home, f"sqlite:///{home}/airflow.db")
    return home / "airflow.db"


@pytest.fixture(scope="session")
def image() -> Iterator[str]:
    """The name of the image with this Airflow, after importing it."""
    command = ["airtight", "image", "import", need("AIRTIGHT_TEST_AIRFLOW_IMAGE")]
    imported = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    yield imported.split()[0]
    # Here nobody else would give the next command.
    leftovers.tidy()
