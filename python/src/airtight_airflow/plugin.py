"""The Airflow plugin: makes Airflow start its DAG parsers and tasks in containers.

In: a component of Airflow that starts (the listener's `on_starting`, before a DAG processor or executor has begun any
work). Out: the patches of `parsing_v2.py`, `parsing_v3.py` and `tasks_v3.py`, for the halves whose flag is on. With
both flags off nothing is patched and nothing else of this package is imported. Must never import Airflow's core when
this module is loaded: plugins are read while Airflow is still being imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from airtight_airflow import _flags, _versions


class _Listener:
    """What Airflow calls when one of its components starts."""

    @hookimpl
    def on_starting(self, component: object) -> None:
        """Installs what the flags ask for; a setting that cannot be honoured ends the component."""
        or_exit(lambda: install(component))


def or_exit(action: Callable[[], None]) -> None:
    """Ends the process where `action` fails."""
    try:
        action()
    except Exception as error:
        # Said here: what a Celery worker of Airflow 2 ends by, its provider keeps to itself.
        print(f"airtight: {error}", file=sys.stderr, flush=True)
        # Airflow and Celery only log an Exception of a listener and go on: DAGs would run without their containers.
        raise SystemExit(1) from error


def install(component: object = None) -> None:
    """Installs the halves whose flag is on, for a `component` that starts. May be called any number of times."""
    install_parsing()
    install_tasks(component)


def install_parsing() -> None:
    """The half of DAG parsing alone."""
    if not _flags.enabled(_flags.PARSING):
        return
    if _versions.airflow_minor() >= (3, 0):
        from airtight_airflow import parsing_v3 as parsing_half
    else:
        from airtight_airflow import parsing_v2 as parsing_half
    parsing_half.install()


def install_tasks(component: object = None) -> None:
    """The half of tasks alone; no `component` is a Celery worker."""
    if not _flags.enabled(_flags.TASKS):
        return
    if _versions.airflow_minor() >= (3, 0):
        from airtight_airflow import tasks_v3

        tasks_v3.install()
    else:
        from airtight_airflow import tasks_v2

        tasks_v2.check(component)


class AirtightPlugin(AirflowPlugin):
    """What the entry point `airflow.plugins` names."""

    name = "airtight"
    # Listeners are modules or objects whose methods are marked with hookimpl.
    listeners = [_Listener()]  # noqa: RUF012
