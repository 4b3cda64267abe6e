"""A DAG that says where it was parsed."""

import os

import pendulum
from airflow import DAG

PLACE = f"in a container as pid {os.getpid()}" if os.path.exists("/.airtight") else "on the host"

with DAG("good", description=f"parsed {PLACE}", schedule=None, start_date=pendulum.datetime(2024, 1, 1)):
    pass

print("a line while it is parsed")
