"""What every test with a real Airflow needs: the image in the private containerd, and an AIRFLOW_HOME of its own.

In: the variables that scripts/test-airflow sets. Out: fixtures. Must never use an Airflow or a containerd of the host.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import leftovers
import pytest
import services
from airflow_3 import SECRET
from airflow_home import migrate, need, until

PASSWORD = f"{SECRET}of-the-servers"


@pytest.fixture(scope="session")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[leftovers.Watch]:
    """What is left of containers, from now on."""
    with leftovers.watching(tmp_path_factory.mktemp("watch")) as watch:
        yield watch


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left(watch: leftovers.Watch) -> Iterator[None]:
    """After every file of tests."""
    yield
    leftovers.tidy()
    until(lambda: not watch.left(), lambda: f"left behind: {watch.left()}", 30)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database, since making one takes long."""
    home = tmp_path_factory.mktemp("migrated")
    migrate(home, f"sqlite:///{home}/airflow.db")
    return home / "airflow.db"


@pytest.fixture(scope="session")
def postgresql(watch: leftovers.Watch) -> Iterator[services.Server]:
    """The server of Airflow's database."""
    with services.postgresql(PASSWORD) as server:
        watch.staying.add(server.pid)
        yield server


@pytest.fixture(scope="session")
def redis(watch: leftovers.Watch) -> Iterator[services.Server]:
    """Celery's broker."""
    with services.redis(PASSWORD) as server:
        watch.staying.add(server.pid)
        yield server


@pytest.fixture(scope="session")
def migrated_database(postgresql: services.Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with this Airflow's tables."""
    name = "migrated"
    home = tmp_path_factory.mktemp(name)
    migrate(home, services.make_database(postgresql, name))
    return name


@pytest.fixture(scope="session")
def image() -> str:
    """The name of the image with this Airflow, after importing it."""
    command = ["airtight", "image", "import", need("AIRTIGHT_TEST_AIRFLOW_IMAGE")]
    imported = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return imported.split()[0]
