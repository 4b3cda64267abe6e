"""A DAG whose callback says where it was called."""

import os

import pendulum
from airflow import DAG
from airflow.models import Variable
from airflow.operators.empty import EmptyOperator


def told(context):
    where = "in a container" if os.path.exists("/.airtight") else "on the host"
    Variable.set("called", f"{where} for {context['dag'].dag_id}")


with DAG("calls", schedule=None, start_date=pendulum.datetime(2024, 1, 1), on_failure_callback=told):
    EmptyOperator(task_id="one")
