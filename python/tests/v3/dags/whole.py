"""Tasks that say where they run; one that fails once; and one that waits to be stopped, and says that it was."""

import os
import time

from airflow import __version__
from airflow.sdk import DAG, BaseOperator, Variable, task


class Waits(BaseOperator):
    """Waits for longer than any test."""

    def execute(self, context: object) -> None:
        print("the task waits")
        time.sleep(1000)

    def on_kill(self) -> None:
        print("on_kill was called")


with DAG("whole", schedule=None):

    @task
    def place() -> list:
        print("a line on stdout")
        inside = os.path.isdir("/opt/airtight_airflow")
        return [__version__, inside, os.environ.get("AIRFLOW__SDK__QUEUE_TO_COORDINATOR")]

    @task
    def doubled(values: list) -> int:
        return 2 * int(Variable.get("two")) + len(values)

    @task(retries=1, retry_delay=1)
    def fails_once(value: int, ti=None) -> int:
        if ti.try_number == 1:
            raise ValueError("the first attempt")
        return value

    fails_once(doubled(place()))

with DAG("waits", schedule=None):
    Waits(task_id="waits")
