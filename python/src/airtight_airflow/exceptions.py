"""What a failed container raises in an Airflow task.

In: how the container ended, and its last lines of output. Out: exceptions that Airflow's task runner knows: one fails
the task, the other skips it. Must not hold a value of the task's variables.
"""

from __future__ import annotations

from collections.abc import Sequence

from airtight_airflow._airflow import AirflowException, AirflowSkipException


class AirtightContainerFailedException(AirflowException):
    """The container failed, or could not be started; `logs` are its last lines."""

    def __init__(self, message: str, logs: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.logs = list(logs)


class AirtightContainerFailedSkipException(AirflowSkipException):
    """The container ended with an exit code of `skip_on_exit_code`; `logs` are its last lines."""

    def __init__(self, message: str, logs: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.logs = list(logs)
