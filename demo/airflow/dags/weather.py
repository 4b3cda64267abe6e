"""Two tasks that need a library which only their image has; see weather.py.metadata.yaml."""

import socket

import semver
from airflow.sdk import DAG, task

with DAG("weather", schedule=None, description=f"parsed with semver {semver.__version__}"):

    @task
    def measure() -> dict[str, object]:
        interfaces = [name for _, name in socket.if_nameindex()]
        print(f"semver {semver.__version__}, network interfaces: {', '.join(interfaces)}")
        return {"celsius": 21, "interfaces": interfaces}

    @task
    def report(measured: dict[str, object]) -> str:
        print(f"it is {measured['celsius']} degrees")
        return "done"

    report(measure())
