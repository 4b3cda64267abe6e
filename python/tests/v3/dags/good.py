"""Says where it was parsed, in the description of the DAG."""

import os

from airflow.sdk import DAG, task

where = "in a container" if os.path.isdir("/opt/airtight_airflow") else "on the host"

with DAG("good", description=f"parsed {where} as pid {os.getpid()}", schedule=None):

    @task
    def one() -> int:
        return 1

    @task
    def two(number: int) -> int:
        print("two has been told", number)
        return number + 1

    two(one())
