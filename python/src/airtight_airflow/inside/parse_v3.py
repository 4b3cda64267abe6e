"""Parses one DAG file in the container, with the image's own Airflow 3: `parse_v3.py LOG_FD [CODE_DIRECTORY…]`.

In: descriptor 0, a socket to the DAG processor's manager on the host (which file, answers to requests); 1, 2 and
LOG_FD for output and JSON log lines. Out: the parsing result on descriptor 0. Must never write to it otherwise.
"""

import sys
from socket import socket


def main() -> None:
    """Does what the manager's forked child would have done."""
    log_fd, code_directories = int(sys.argv[1]), sys.argv[2:]
    from _prepare import prepare

    prepare(code_directories)

    from airflow.dag_processing.processor import _parse_file_entrypoint
    from airflow.sdk.execution_time.supervisor import _fork_main

    # Ends this process.
    _fork_main(socket(fileno=0), socket(fileno=1), socket(fileno=2), log_fd, _parse_file_entrypoint)


if __name__ == "__main__":
    main()
