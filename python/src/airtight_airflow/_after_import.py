"""What reaches every process of Airflow in which a task or a DAG parser can be started, whoever started that process.

In: the entry point `airflow.policy`, by which every `import airflow` loads this module (settings.load_policy_plugins in
2.10 to 3.3): Celery workers, which call no listener, and processes that are spawned, not forked (LocalExecutor's, and
Airflow 2's manager of DAG parsers), included. Out: with a feature flag on, our patches right after the modules they
belong to have been imported, and a check when a Celery worker starts. With both flags off nothing is left behind. Must
never import what it waits for: Airflow itself is still being imported here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from airtight_airflow import _flags


def _supervisor(_: ModuleType) -> None:
    # Asked again, since a mistake in the flag is raised here.
    if _flags.enabled(_flags.TASKS):
        from airtight_airflow import tasks_v3

        tasks_v3.install()


def _callbacks(module: ModuleType) -> None:
    if _wanted(_flags.TASKS):
        from airtight_airflow import tasks_v3

        tasks_v3.refuse_callbacks(module)


def _manager(_: ModuleType) -> None:
    from airtight_airflow import plugin

    plugin.install_parsing()


def _celery(_: ModuleType) -> None:
    from celery.signals import celeryd_init

    # Nobody else would hold it.
    celeryd_init.connect(_celery_worker_starts, weak=False)


def _celery_worker_starts(**_: Any) -> None:
    """Called before the worker takes its first task; without it each of them would fail, one by one."""
    from airtight_airflow import plugin

    plugin.or_exit(plugin.install_tasks)


_WAITING: dict[str, Callable[[ModuleType], None]] = {
    "airflow.sdk.execution_time.supervisor": _supervisor,
    # Callbacks of deadlines that an executor runs: 3.2, and from 3.3 on.
    "airflow.executors.workloads.callback": _callbacks,
    "airflow.sdk.execution_time.callback_supervisor": _callbacks,
    "celery.signals": _celery,
    "airflow.dag_processing.manager": _manager,
}


class _Finder(MetaPathFinder):
    """Finds those modules as Python would, and has their loader call us when it is done."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec that the next finder has."""
        afterwards = _WAITING.get(name)
        if afterwards is None:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                _call_after(spec.loader, afterwards)
                return spec
        return None


def _call_after(loader: Any, afterwards: Callable[[ModuleType], None]) -> None:
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        # An error here is one of the import: better no tasks and no DAGs than such without their containers.
        afterwards(module)

    loader.exec_module = exec_module


def _wanted(flag: str) -> bool:
    try:
        return _flags.enabled(flag)
    except _flags.FlagError:
        # Raised here, it would break every command of Airflow; the patches raise it again where they are needed.
        return True


if _wanted(_flags.TASKS) or _wanted(_flags.PARSING):
    sys.meta_path.insert(0, _Finder())
    for _name, _afterwards in _WAITING.items():
        if _name in sys.modules:
            _afterwards(sys.modules[_name])
