"""An Airflow 3 with SQLite for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import airflow_3
import pytest
from airflow_3 import SECRET, Airflow

DAG_FILES = Path(__file__).parent / "dags"


@pytest.fixture
def plain_airflow(tmp_path: Path, migrated: Path) -> Airflow:
    """An Airflow whose feature flags are off."""
    database = tmp_path / f"{SECRET}airflow.db"
    shutil.copy(migrated, database)
    return airflow_3.plain(tmp_path, f"sqlite:///{database}", DAG_FILES)


@pytest.fixture
def airflow(plain_airflow: Airflow, image: str) -> Airflow:
    """An Airflow that parses and runs everything in containers of the image."""
    return airflow_3.contained(plain_airflow, image)
