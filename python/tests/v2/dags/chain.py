"""Three tasks that say where they are."""

import os
import platform
from pathlib import Path

import pendulum
from airflow.decorators import dag, task
from airflow.models import Variable


@dag(schedule=None, start_date=pendulum.datetime(2024, 1, 1), catchup=False, max_active_tasks=2)
def chain():
    @task
    def place():
        print("a line on stdout")
        return {
            "inside": os.path.exists("/.airtight"),
            "cgroup": Path("/proc/self/cgroup").read_text(),
            "host": platform.node(),
            "pid": os.getpid(),
        }

    @task
    def number():
        return int(Variable.get("two"))

    @task
    def double(number):
        return number * 2

    @task(retries=1, retry_delay=pendulum.duration(seconds=1))
    def fails_once(ti=None):
        if ti.try_number == 1:
            raise ValueError("the first attempt")

    place() >> fails_once()
    double(number())


chain()
