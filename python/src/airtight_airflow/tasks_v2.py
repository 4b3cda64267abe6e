"""Airflow 2.10 and 2.11: tasks run in containers by `airtight` called as `airflow`; this sees to it that all do.

In: a component that starts, or a Celery worker; Airflow's configuration; PATH. Out: nothing, or an error: with the flag
on, a host whose executor forks its tasks or that finds the real `airflow` first would run them without containers. A
component that starts no task may. In a container the flags are off, so nothing here is called there. Must never change
how a task is run.
"""

from __future__ import annotations

import shutil
import sys

_FLAG = "[core] task_execution_runtime = docker"

# Those that start tasks on the host on which the scheduler runs.
_LOCAL_EXECUTORS = {"SequentialExecutor", "LocalExecutor", "LocalKubernetesExecutor"}

# The commands of components that start no task.
_WITHOUT_TASKS = {"airflow.cli.commands.triggerer_command", "airflow.cli.commands.dag_processor_command"}


class TasksError(RuntimeError):
    """Tasks would run without their containers."""


def check(component: object) -> None:
    """Refuses a task that runs here, outside of a container, and settings that would lead to that.

    No component is a Celery worker.
    """
    from airflow.cli.commands.task_command import TaskCommandMarker
    from airflow.configuration import conf

    first = shutil.which("airflow")
    if isinstance(component, TaskCommandMarker):
        raise TasksError(
            f"this task was to run in a container ({_FLAG}); it must be started as `airflow tasks run`"
            f" --local with airtight's airflow first on PATH, where {first} is"
        )
    if _starts_no_task():
        return
    if not conf.getboolean("core", "execute_tasks_new_python_interpreter", fallback=False):
        raise TasksError(f"{_FLAG} needs [core] execute_tasks_new_python_interpreter = True with Airflow 2")
    starts_tasks = component is None or _executors(conf.get("core", "executor")) & _LOCAL_EXECUTORS
    if starts_tasks and not _is_airtight(first):
        raise TasksError(f"{_FLAG} needs airtight's airflow first on PATH, and {first} is there")


def _starts_no_task() -> bool:
    """Whether this is asked for the job of such a component: a `Job` learns of what type it is only after that."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__") in _WITHOUT_TASKS:
            return True
        frame = frame.f_back
    return False


def _executors(setting: str) -> set[str]:
    """Their class names, of a list of names or paths, each perhaps behind an alias and a colon."""
    return {name.rpartition(":")[2].rpartition(".")[2].strip() for name in setting.split(",")}


def _is_airtight(path: str | None) -> bool:
    """The real one is a script; airtight is a program for this machine."""
    if path is None:
        return False
    with open(path, "rb") as program:
        return program.read(4) == b"\x7fELF"
