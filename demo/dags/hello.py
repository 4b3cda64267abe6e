"""The demo's task: a Python file in a dags folder. Says what it sees from inside its container."""

import json
import os
import platform
import socket
from multiprocessing import Pool
from pathlib import Path

REPORT = Path("/opt/airflow/reports/hello.json")


def square(number: int) -> int:
    return number * number


def main() -> None:
    with Pool(2) as workers:
        squares = workers.map(square, range(5))
    interfaces = [name for _, name in socket.if_nameindex()]

    print(os.environ["GREETING"])
    print(f"Python {platform.python_version()} as pid {os.getpid()} on host {socket.gethostname()}")
    print(f"network interfaces: {', '.join(interfaces)}")
    print(f"two worker processes computed {squares}")
    REPORT.write_text(json.dumps({"squares": squares}) + "\n")


if __name__ == "__main__":
    main()
