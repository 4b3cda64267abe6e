"""Parses DAG files with the image's own Airflow 2, each in a fork: `parsers_v2.py SOCKET HOST_MINOR DAGS_FOLDER`.

In: on SOCKET jobs `{"file": PATH}` (`_forks.py`); on descriptor 0 of each what the DAG processor's manager asks for, as
JSON. Out: DAGs, import errors and warnings in Airflow's database; log lines on 1 and 2; on 3 a JSON list of three
numbers (DAGs, import errors, database queries). Must never write anything else to 3, nor share a connection to the
database between forks, nor work on it with a later Airflow than the host's.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import _ahead
import _forks
import _paths
import _prepare

_RESULT = 3


class _Channel:
    """What Airflow's own function sends its result to."""

    def send(self, result: Any) -> None:
        os.write(_RESULT, json.dumps([int(number) for number in result]).encode())

    def close(self) -> None:
        os.close(_RESULT)


class _NoChannel:
    """The manager's end of it, which is not here."""

    def close(self) -> None:
        pass


def main() -> None:
    """Serves until the socket ends."""
    _paths.start_again()
    channel, host, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    # What DAG files see is this program's.
    del sys.argv[1:]
    _forks.serve(channel, lambda: load(host, folder))


def load(host: str, folder: str) -> _forks.Parser:
    """Imports the image's Airflow."""
    _paths.begin([folder])
    _prepare.hide_programs()
    if why := _prepare.refusal(host):
        raise _forks.Refused(why)
    config = os.environ.get("AIRFLOW_CONFIG")
    if config and os.path.exists(config) and not os.access(config, os.R_OK):
        # Airflow would go on without it, with another database and another key.
        raise _forks.Refused(
            f"{config} cannot be read by user {os.getuid()} in the container: give it to the user's group"
        )

    # The last of these is what Airflow's settings import when they let go of the database.
    from airflow import settings
    from airflow.callbacks import callback_requests
    from airflow.dag_processing.processor import DagFileProcessorProcess
    from airflow.www.extensions import init_auth_manager, init_session  # noqa: F401

    # As Airflow's command line does. Notes of task instances refer to the users of its module, and without them the
    # database cannot be told that a task has failed.
    init_auth_manager.get_auth_manager_cls()

    def let_go_of_the_database() -> None:
        if settings.Session is not None:
            settings.Session.remove()
        if settings.engine is not None:
            settings.engine.dispose()

    def ahead(job: dict[str, Any]) -> None:
        _ahead.import_ahead(job["file"])
        # Airflow's modules may have asked it something; its function opens another in each fork.
        let_go_of_the_database()

    def run(job: dict[str, Any]) -> int:
        _paths.give_back()
        with open(0, closefd=False) as stdin:
            asked = json.load(stdin)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        requests = [getattr(callback_requests, kind).from_json(text) for kind, text in asked["callback_requests"]]
        DagFileProcessorProcess._run_file_processor(
            result_channel=_Channel(),
            parent_channel=_NoChannel(),
            file_path=asked["file_path"],
            pickle_dags=asked["pickle_dags"],
            dag_ids=asked["dag_ids"],
            thread_name=asked["thread_name"],
            dag_directory=asked["dag_directory"],
            callback_requests=requests,
        )
        return 0

    let_go_of_the_database()
    _paths.loaded()
    return _forks.Parser(run, ahead)


if __name__ == "__main__":
    main()
