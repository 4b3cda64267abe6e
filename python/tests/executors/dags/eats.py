"""A task that takes more memory than its container may have."""

from datetime import datetime

try:
    from airflow.sdk import DAG, task
except ImportError:
    from airflow import DAG
    from airflow.decorators import task

with DAG("eats", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    # Before the ten tasks, since one waits for this.
    @task(priority_weight=100)
    def takes_all() -> None:
        kept = []
        while True:
            kept.append(bytearray(1 << 24))

    takes_all()
