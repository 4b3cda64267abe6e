"""What reaches every process of Airflow in which a task can be started, whoever started that process.

In: the entry point `airflow.policy`, by which every `import airflow` loads this module (settings.load_policy_plugins in
2.10 to 3.3): Celery workers, which call no listener, and LocalExecutor's processes that are spawned, not forked,
included. Out: with the feature flag of tasks on, our patches right after the modules they belong to have been imported,
and a check when a Celery worker starts. With the flag off nothing is left behind. Must never import what it waits for:
Airflow itself is still being imported here.
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
    from airtight_airflow import tasks_v3

    tasks_v3.refuse_callbacks(module)


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
        # An error here is one of the import: better no tasks than tasks without their containers.
        afterwards(module)

    loader.exec_module = exec_module


def _wanted() -> bool:
    try:
        return _flags.enabled(_flags.TASKS)
    except _flags.FlagError:
        # Raised here, it would break every command of Airflow; the patches raise it again where tasks are started.
        return True


if _wanted():
    sys.meta_path.insert(0, _Finder())
    for _name, _afterwards in _WAITING.items():
        if _name in sys.modules:
            _afterwards(sys.modules[_name])
