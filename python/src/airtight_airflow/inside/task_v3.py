"""Runs one task in the container, with the image's own Airflow 3: `task_v3.py LOG_FD HOST_MINOR [CODE_DIRECTORY…]`.

In: descriptor 0, a socket to the task's supervisor on the host (which task, answers to requests); 1, 2 and LOG_FD for
output and JSON log lines. Out: the task's state, XComs and requests on descriptor 0. Must never run a task for a
supervisor of another minor version: the two would not understand each other's messages.
"""

import sys
from importlib.metadata import version
from socket import socket


def main() -> None:
    """Does what the supervisor's forked child would have done."""
    log_fd, host, code_directories = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    from _prepare import prepare

    prepare(code_directories)

    image = version("apache-airflow")
    if ".".join(image.split(".")[:2]) != host:
        sys.exit(
            f"airtight: the image has Airflow {image}, the worker {host}: a task needs an image of the worker's minor"
            " version. Name another image for this DAG file, or send it to another worker"
        )

    from airflow.sdk.execution_time.supervisor import _fork_main, _subprocess_main

    # Ends this process.
    _fork_main(socket(fileno=0), socket(fileno=1), socket(fileno=2), log_fd, _subprocess_main)


if __name__ == "__main__":
    main()
