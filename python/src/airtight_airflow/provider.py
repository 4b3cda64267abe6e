"""Tells Airflow of `@task.airtight`.

In: nothing. Out: what the entry point `apache_airflow_provider` has to answer (Airflow's
`provider_info.schema.json`). Must not import Airflow: its providers manager calls this while Airflow loads.
"""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The distribution's own name has to be repeated here, or Airflow refuses the provider."""
    return {
        "package-name": "airtight-airflow",
        "name": "airtight",
        "description": "Tasks and DAG parsing, each in its own sealed container, over containerd",
        "task-decorators": [{"name": "airtight", "class-name": "airtight_airflow.decorators.airtight_task"}],
    }
