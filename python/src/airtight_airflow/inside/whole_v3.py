"""Runs one task with its whole supervisor in the container, with the image's own Airflow 3: `whole_v3.py [CODE_DIR…]`.

In: on stdin a JSON object: the workload with its token, the API server's address, the descriptor of the log. Out:
heartbeats, states and XComs to the API server; the task's log on that descriptor; exit code 0 whatever became of the
task, since the server knows; anything else means that the server may not know. Must never show the token: not to the
task's environment, on no command line and in no log line.
"""

import json
import os
import signal
import sys
from contextlib import suppress

# How long a task has after its on_kill: as long as Airflow's own supervisor gives it (WatchedSubprocess.kill).
SECONDS_TO_STOP = 5

# The server says that this very task runs already: whoever delivered it twice must not take it for failed.
ALREADY_RUNNING = 120


def main() -> None:
    """Does what a worker of the image's Airflow would do with the workload."""
    job = json.load(sys.stdin)
    from _prepare import prepare

    prepare(sys.argv[1:])
    # The one of the image or of its airflow.cfg may name coordinators that are not here.
    os.environ["AIRFLOW__SDK__QUEUE_TO_COORDINATOR"] = "{}"
    sys.argv[:] = sys.argv[:1]

    from airflow.executors.workloads import ExecuteTask
    from airflow.sdk.execution_time import supervisor
    from airflow.sdk.log import configure_logging

    configure_logging(output=sys.stdout.buffer)
    if job["log_descriptor"] is not None:
        _write_log_to(job["log_descriptor"])
    workload = ExecuteTask.model_validate(job["workload"])
    arguments = {
        "ti": workload.ti,
        "bundle_info": workload.bundle_info,
        "dag_rel_path": workload.dag_rel_path,
        "token": workload.token,
        "log_path": workload.log_path,
        "server": job["server"],
        "subprocess_logs_to_stdout": job["subprocess_logs_to_stdout"],
    }
    # From 3.2 on.
    if hasattr(workload, "sentry_integration"):
        arguments["sentry_integration"] = workload.sentry_integration
    # Its name from 3.3 on.
    supervise = getattr(supervisor, "supervise_task", None) or supervisor.supervise
    _hand_on_a_stop()
    try:
        supervise(**arguments)
    except Exception as error:
        if type(error).__name__ == "TaskAlreadyRunningError":
            sys.exit(ALREADY_RUNNING)
        raise


def _write_log_to(descriptor: int) -> None:
    """The file was opened on the host: who is allowed to write there is no user of this container."""
    from pathlib import Path

    from airflow.configuration import conf
    from airflow.sdk import log

    class Log(type(Path())):
        """Of Airflow's own path, which names the log where it is uploaded."""

        def open(self, mode="r", buffering=-1, encoding=None, errors=None, newline=None):
            return open(self, mode, buffering, encoding, errors, newline, opener=lambda *_: os.dup(descriptor))

    log.init_log_file = lambda relative: Log(conf.get("logging", "base_log_folder"), relative)


def _hand_on_a_stop() -> None:
    """A supervisor of 3.0 to 3.2 dies of SIGTERM: nobody calls the task's on_kill, or tells the server of its end.

    One from 3.3 on puts a handler of its own in place of this.
    """

    def everybody_else(number: int) -> None:
        with suppress(ProcessLookupError):
            # In the container, but for its init and this process: kill(2).
            os.kill(-1, number)

    def stop(number: int, _: object) -> None:
        everybody_else(signal.SIGTERM)
        # A task goes on when its on_kill has returned.
        signal.alarm(SECONDS_TO_STOP)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGALRM, lambda *_: everybody_else(signal.SIGKILL))


if __name__ == "__main__":
    main()
