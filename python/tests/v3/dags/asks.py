"""Asks the supervisor on the host for a variable while it is parsed."""

from airflow.sdk import DAG, Variable

with DAG("asks", description=f"the variable is {Variable.get('colour')}", schedule=None):
    pass
