"""Ten tasks of the kinds that DAGs consist of; the last one tells what the others found.

The tests copy it under two names with two images, which hold different versions of semver; the host has none.
"""

import sys
from datetime import datetime, timedelta
from pathlib import Path

import semver

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
    from airflow.sdk import DAG, Variable, task
except ImportError:
    from airflow import DAG
    from airflow.decorators import task
    from airflow.models import Variable
    from airflow.operators.bash import BashOperator
    from airflow.sensors.date_time import DateTimeSensorAsync

with DAG(
    Path(__file__).stem,
    description=f"semver {semver.__version__}, {Variable.get('colour')}",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    catchup=False,
):

    @task
    def library() -> str:
        print("a line on stdout")
        return semver.__version__

    @task
    def python() -> str:
        return sys.prefix

    @task
    def number() -> int:
        return int(Variable.get("two"))

    @task
    def numbers(two: int) -> list:
        return [1, two, 3]

    @task
    def square(number: int) -> int:
        return number * number

    @task
    def total(squares: list) -> int:
        return sum(squares)

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def fails_once(ti=None) -> int:
        if ti.try_number == 1:
            raise ValueError("the first attempt")
        return ti.try_number

    waits = DateTimeSensorAsync(
        task_id="waits", target_time="{{ macros.datetime.utcnow() + macros.timedelta(seconds=20) }}"
    )

    bash = BashOperator(task_id="bash", bash_command="echo the total is {{ ti.xcom_pull(task_ids='total') }}")

    @task
    def report(library: str, python: str, total: int, attempts: int, bash: str) -> dict:
        return {"library": library, "python": python, "total": total, "attempts": attempts, "bash": bash}

    summed = total(square.expand(number=numbers(number())))
    summed >> bash
    waits >> report(library(), python(), summed, fails_once(), bash.output)
