"""An Airflow with PostgreSQL, all its components and each executor; it runs everything in containers.

In: the variables that scripts/test-airflow sets. Out: fixtures. After each executor nothing may be left of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import leftovers
import pytest
import services
from airflow_home import until
from running import DAGS, Running, add_dags, make_airflow, wait_until_parsed

EXECUTORS = ("LocalExecutor", "CeleryExecutor")


@pytest.fixture(scope="module", params=EXECUTORS)
def running(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    image: str,
    postgresql: services.Server,
    redis: services.Server,
    migrated_database: str,
    watch: leftovers.Watch,
) -> Iterator[Running]:
    """All components, and one run of every DAG."""
    executor: str = request.param
    database = services.make_database(postgresql, executor, migrated_database)
    airflow = make_airflow(tmp_path_factory.mktemp(executor), database, image, executor)
    airflow.environment |= {
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        # Once is enough.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
        "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "600",
        "AIRFLOW__CORE__PARALLELISM": "6",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "6",
        "AIRFLOW__CELERY__BROKER_URL": redis.url,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database}",
    }
    add_dags(airflow, image)
    airflow.run("variables", "set", "colour", "green")
    airflow.run("variables", "set", "two", "2")
    with airflow.all_components():
        wait_until_parsed(airflow)
        running = Running(airflow, str(uuid.uuid4()))
        for dag_id in DAGS:
            airflow.start_run(dag_id, {"marker": f"{running.marker}-{dag_id}"})
        yield running
    # After the components of one executor, before those of the next.
    leftovers.tidy()
    until(lambda: not watch.left(), lambda: f"left behind: {watch.left()}\n{airflow.logs()}", 30)
    assert watch.containers(), "no container has been seen, so nothing is known of what they left"
