"""Two tasks that end badly: one by its memory limit, one without a word."""

import os

from airflow.sdk import DAG, task

with DAG("ends", schedule=None):

    @task
    def eats() -> None:
        kept = []
        while True:
            kept.append(bytearray(1 << 24))

    @task
    def exits() -> None:
        os._exit(3)

    eats()
    exits()
