"""An Airflow 2 with SQLite for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import airflow_2
import pytest
from airflow_2 import Airflow

DAG_FILES = Path(__file__).parent / "dags"


@pytest.fixture
def plain_airflow(tmp_path: Path, migrated: Path) -> Airflow:
    """An Airflow whose feature flags are off, with airtight's `airflow` first on PATH."""
    # Its containers write into the database, and SQLite beside it.
    folder = tmp_path / "db"
    folder.mkdir()
    folder.chmod(0o777)
    shutil.copy(migrated, folder)
    (folder / migrated.name).chmod(0o666)
    return airflow_2.plain(tmp_path, f"sqlite:///{folder}/{migrated.name}", DAG_FILES)


@pytest.fixture
def airflow(plain_airflow: Airflow, image: str) -> Airflow:
    """An Airflow that parses and runs everything in containers of the image."""
    folder = plain_airflow.home / "db"
    # A database that is a file has to be mounted.
    plain_airflow.environment["AIRFLOW__DOCKER_RUNTIME__VOLUMES"] = f"{folder}:{folder}"
    return airflow_2.contained(plain_airflow, image)
