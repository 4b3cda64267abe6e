"""Parses one DAG file in the container, with the image's own Airflow 2: `parse_v2.py RESULT_FD`.

In: on stdin, what the DAG processor's manager asks for, as JSON. Out: DAGs, import errors and warnings in Airflow's
database; log lines on stdout; on RESULT_FD a JSON list of three numbers (DAGs, import errors, database queries).
Must never write anything else to RESULT_FD.
"""

import json
import os
import sys


class _Channel:
    """What Airflow's own function sends its result to."""

    def __init__(self, descriptor):
        self._descriptor = descriptor

    def send(self, result):
        os.write(self._descriptor, json.dumps([int(number) for number in result]).encode())

    def close(self):
        os.close(self._descriptor)


class _NoChannel:
    """The manager's end of it, which is not here."""

    def close(self):
        pass


def main():
    """Does what the manager's forked child would have done."""
    descriptor = int(sys.argv[1])
    # For the processes of a DAG file it is no business.
    os.set_inheritable(descriptor, False)
    job = json.load(sys.stdin)
    # Python put the directory of this program first: DAG files must not find our modules there.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if path != here]
    # The list that its functions read is that of the program's own arguments.
    sys.argv[:] = sys.argv[:1]

    config = os.environ.get("AIRFLOW_CONFIG")
    if config and os.path.exists(config) and not os.access(config, os.R_OK):
        # Airflow would go on without it, with another database and another key.
        sys.exit(f"{config} cannot be read by user {os.getuid()} in the container: give it to the user's group")

    from airflow.callbacks import callback_requests
    from airflow.dag_processing.processor import DagFileProcessorProcess

    requests = [getattr(callback_requests, kind).from_json(text) for kind, text in job["callback_requests"]]
    DagFileProcessorProcess._run_file_processor(
        result_channel=_Channel(descriptor),
        parent_channel=_NoChannel(),
        file_path=job["file_path"],
        pickle_dags=job["pickle_dags"],
        dag_ids=job["dag_ids"],
        thread_name=job["thread_name"],
        dag_directory=job["dag_directory"],
        callback_requests=requests,
    )


if __name__ == "__main__":
    main()
