"""What every test with a real Airflow needs: the image in the private containerd, and an AIRFLOW_HOME of its own.

In: the variables that scripts/test-airflow sets. Out: fixtures. Must never use an Airflow or a containerd of the host.
"""

from __future__ import annotations

import os
import subprocess

import pytest


def need(name: str) -> str:
    """A variable of the runner's."""
    value = os.environ.get(name)
    if not value:
        pytest.fail(f"{name} is not set: run these tests with `make test-airflow`")
    return value


@pytest.fixture(scope="session")
def image() -> str:
    """The name of the image with this Airflow, after importing it."""
    subprocess.run(["airtight", "image", "import", need("AIRTIGHT_TEST_AIRFLOW_IMAGE")], check=True)
    return f"airflow:{need('AIRTIGHT_TEST_AIRFLOW')}"
