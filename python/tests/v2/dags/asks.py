"""A DAG that asks for a variable while it is parsed."""

import pendulum
from airflow import DAG
from airflow.models import Variable

with DAG(
    "asks",
    description=f"the variable is {Variable.get('colour')}",
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1),
):
    pass
