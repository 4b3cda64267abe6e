"""One task that waits to be stopped."""

import time

import pendulum
from airflow.decorators import dag, task


@dag(schedule=None, start_date=pendulum.datetime(2024, 1, 1), catchup=False)
def waits():
    @task
    def waits():
        print("the task waits")
        time.sleep(1000)

    waits()


waits()
