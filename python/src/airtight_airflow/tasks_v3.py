"""Airflow 3: runs each task in a container, while its supervisor stays on the host.

In: `ActivitySubprocess.start`, which forks a child for a task. Out: the same child, become `airtight run` with the
image's own task runner inside (`inside/task_v3.py`). Heartbeats, the token, log files, XComs, variables and connections
are the supervisor's affair as ever; the task asks it over descriptor 0. Must never give a container a token, a database or a key: none of them is needed there. Nor is a
network, so it has none unless the settings say otherwise (NETWORK_MODE).

Two ways lead here. `install` replaces the default target, for executors whose processes descend from a component that
loads plugins (LocalExecutor). `AirtightCoordinator`, from 3.3 on, is named in `[sdk] coordinators` and
`queue_to_coordinator`, and needs no patch: the one for Celery workers, which call no listener.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airtight_airflow import _command, _crossing, _flags, _versions
from airtight_airflow._target import Target

_MARK = "_airtight"


@dataclass(frozen=True)
class _TaskTarget(Target):
    """Holds the bundle's version while the container runs, so that the host does not tidy it away."""

    bundle_name: str
    bundle_version: str | None

    def __call__(self) -> None:
        from airflow.dag_processing.bundles.base import BundleVersionLock

        lock = BundleVersionLock(self.bundle_name, self.bundle_version)
        lock.acquire()
        if lock.lock_file is not None:
            # The lock belongs to the open file, which airtight inherits and the kernel closes with it.
            os.set_inheritable(lock.lock_file.fileno(), True)
        super().__call__()


def install() -> None:
    """Makes a container the default of `ActivitySubprocess.start`. May be called any number of times."""
    from airflow.sdk.execution_time.supervisor import ActivitySubprocess

    original = ActivitySubprocess.start
    if hasattr(original.__func__, _MARK):
        return

    @functools.wraps(original.__func__)
    def start(cls: type, *, what: Any, dag_rel_path: Any, bundle_info: Any, **arguments: Any) -> Any:
        if "target" not in arguments:
            arguments["target"] = target(what, os.fspath(dag_rel_path), bundle_info)
        return original.__func__(cls, what=what, dag_rel_path=dag_rel_path, bundle_info=bundle_info, **arguments)

    setattr(start, _MARK, original)
    ActivitySubprocess.start = classmethod(start)


def target(what: Any, dag_rel_path: str, bundle_info: Any) -> Target:
    """What the child that is to run the task instance `what` becomes."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    bundle = DagBundlesManager().get_bundle(name=bundle_info.name, version=bundle_info.version)
    # Here, since it may take a network and credentials; inside, the files are simply there.
    bundle.initialize()
    path = os.fspath(bundle.path)
    variables = {**_crossing.settings(), **_crossing.bundle(bundle_info.name, path)}
    code = _crossing.code_directories()
    major, minor = _versions.airflow_minor()
    run = _command.Run(
        profile=_command.TASK_EXECUTION,
        dag_file=os.path.join(path, dag_rel_path),
        program="task_v3.py",
        arguments=[f"{major}.{minor}", *code],
        read_only=list(dict.fromkeys([path, *code])),
        variables=list(variables),
        labels=_labels(what),
    )
    return _TaskTarget(run, variables, dict(os.environ), bundle_info.name, bundle_info.version)


def _labels(what: Any) -> Mapping[str, str]:
    """Which task instance a container is, for who looks at containerd."""
    names = ("dag_id", "task_id", "run_id", "try_number", "map_index")
    return {name: str(getattr(what, name, None)) for name in names if getattr(what, name, None) is not None}


def __getattr__(name: str) -> Any:
    # The base class exists from 3.3 on, and this module is imported on 3.0 too.
    if name == "AirtightCoordinator":
        return _coordinator_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def _coordinator_class() -> type:
    from airflow.sdk.execution_time.coordinator import BaseCoordinator

    class AirtightCoordinator(BaseCoordinator):
        """Runs the tasks of its queues in containers; with the feature flag off, as Airflow itself would."""

        def execute_task(
            self, *, what: Any, dag_rel_path: Any, bundle_info: Any, **arguments: Any
        ) -> BaseCoordinator.ExecutionResult:
            """Starts the task, supervises it to its end, and says what became of it."""
            from airflow.sdk.execution_time.supervisor import ActivitySubprocess

            if _flags.enabled(_flags.TASKS):
                arguments["target"] = target(what, os.fspath(dag_rel_path), bundle_info)
            process = ActivitySubprocess.start(
                what=what, dag_rel_path=dag_rel_path, bundle_info=bundle_info, **arguments
            )
            return self.ExecutionResult(process.wait(), process.final_state)

    return AirtightCoordinator
