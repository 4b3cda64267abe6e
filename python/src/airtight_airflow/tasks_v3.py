"""Airflow 3: runs each task in a container.

In: Airflow's supervisor, called for a task. Out, where image and host have the same minor version, *split*: the
supervisor stays on the host, and the child that it forks becomes `airtight run` with the image's own task runner inside
(`inside/task_v3.py`). Heartbeats, the token, log files, XComs, variables and connections are the supervisor's affair as
ever; the task asks it over descriptor 0. Where they differ, the two would not understand each other: the *whole*
supervisor runs in the container (`_whole.py`). Which of the two is decided before the API server hears of the task.

Must never give the container of a split task a token, a database or a key: none of them is needed there. Nor is a
network, so it has none unless the settings say otherwise (NETWORK_MODE). And must never run a task on the host.

`install` reaches every process that supervises tasks (`_after_import.py`). `AirtightCoordinator`, from 3.3 on, does
split tasks alone for who names it in `[sdk] queue_to_coordinator`, and patches nothing itself.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, NoReturn

from airtight_airflow import _command, _crossing, _flags, _image_airflow, _versions, _whole
from airtight_airflow._target import Target

_MARK = "_airtight"


class TasksError(RuntimeError):
    """A task cannot run in the container that its DAG file asks for."""


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


@dataclass(frozen=True)
class _Task:
    """A task instance, and what its container needs whichever way it runs."""

    what: Any
    dag_file: str
    bundle_name: str
    bundle_version: str | None
    bundle_path: str

    @classmethod
    def of(cls, what: Any, dag_rel_path: str, bundle_info: Any) -> _Task:
        """Brings the bundle here: that may take a network and credentials; inside, the files are simply there."""
        from airflow.dag_processing.bundles.manager import DagBundlesManager

        bundle = DagBundlesManager().get_bundle(name=bundle_info.name, version=bundle_info.version)
        bundle.initialize()
        path = os.fspath(bundle.path)
        return cls(what, os.path.join(path, dag_rel_path), bundle_info.name, bundle_info.version, path)

    def run(self, program: str, arguments: list[str], variables: Mapping[str, str], **further: Any) -> _command.Run:
        """A container in which `program` finds the bundle's files and the operator's code."""
        code = _crossing.code_directories()
        return _command.Run(
            profile=_command.TASK_EXECUTION,
            dag_file=self.dag_file,
            program=program,
            arguments=[*arguments, *code],
            read_only=list(dict.fromkeys([self.bundle_path, *code, *further.pop("read_only", [])])),
            variables=list(variables),
            labels=_labels(self.what),
            **further,
        )

    def bundle(self) -> Mapping[str, str]:
        """The variable that says where the bundle is."""
        return _crossing.bundle(self.bundle_name, self.bundle_path)

    def split(self) -> Target:
        """What the supervisor's child becomes."""
        variables = {**_crossing.settings(), **self.bundle()}
        # The last line of the task's log says how its container ended, and what it used.
        run = self.run(
            "task_v3.py", [_text(_versions.airflow_minor())], variables, flags=["--verbose", *_key(self.what)]
        )
        return _TaskTarget(run, variables, dict(os.environ), self.bundle_name, self.bundle_version)

    def image(self) -> _image_airflow.Image:
        """What the container would be made of."""
        # Without labels: what is asked is not the task.
        return _image_airflow.look(replace(self.run(_image_airflow.PROGRAM, [], {}), labels={}), os.environ)

    def whole(self, log: _whole.TaskLog, arguments: Mapping[str, Any], stop_seconds: float) -> int:
        """Runs it with its supervisor, to its end."""
        from airflow.dag_processing.bundles.base import BundleVersionLock
        from airflow.sdk.api.client import get_hostname

        settings, certificates = _crossing.whole()
        variables = {**settings, **self.bundle()}
        run = self.run(
            "whole_v3.py",
            [],
            variables,
            # Where logs are uploaded, Airflow reads it again when the task is done.
            read_only=[*certificates, *([str(log.path)] if log.path else [])],
            # Airflow asks the host of this name for the log of a running task.
            flags=["--hostname", get_hostname(), *_key(self.what)],
        )
        with BundleVersionLock(self.bundle_name, self.bundle_version):
            return _whole.run(run, variables, log, arguments, stop_seconds)


# The task that `supervise` has looked at, for `start` further down in the same thread.
_looked_at: ContextVar[_Task | None] = ContextVar("airtight_task", default=None)


def install() -> None:
    """Puts a container between the supervisor and each of its tasks. May be called any number of times."""
    from airflow.sdk.execution_time import supervisor

    _versions.airflow_minor()
    # Its name from 3.3 on, where `supervise` calls it.
    name = "supervise_task" if hasattr(supervisor, "supervise_task") else "supervise"
    supervise, start = getattr(supervisor, name), supervisor.ActivitySubprocess.start
    if hasattr(supervise, _MARK):
        return

    @functools.wraps(supervise)
    def our_supervise(**arguments: Any) -> int:
        return _supervise(supervise, arguments)

    @functools.wraps(start.__func__)
    def our_start(cls: type, *, what: Any, dag_rel_path: Any, bundle_info: Any, **arguments: Any) -> Any:
        if "target" not in arguments:
            arguments["target"] = target(what, os.fspath(dag_rel_path), bundle_info)
        return start.__func__(cls, what=what, dag_rel_path=dag_rel_path, bundle_info=bundle_info, **arguments)

    setattr(our_supervise, _MARK, supervise)
    setattr(our_start, _MARK, start)
    setattr(supervisor, name, our_supervise)
    supervisor.ActivitySubprocess.start = classmethod(our_start)


def target(what: Any, dag_rel_path: str, bundle_info: Any) -> Target:
    """What the child that is to run the task instance `what` becomes."""
    task = _looked_at.get()
    if task is None or task.what is not what:
        task = _Task.of(what, dag_rel_path, bundle_info)
    return task.split()


def _supervise(original: Any, arguments: dict[str, Any]) -> int:
    """Airflow's own function, or a container in its place."""
    # A client of the caller's own has the token in it and cannot be handed over; and what Airflow refuses, it refuses.
    plain = arguments.get("client") or arguments.get("dry_run") or not arguments.get("dag_rel_path")
    if plain or _of_another_coordinator(arguments["ti"]):
        return original(**arguments)
    log = _whole.TaskLog.of(arguments.get("log_path"))
    try:
        task = _Task.of(arguments["ti"], os.fspath(arguments["dag_rel_path"]), arguments["bundle_info"])
        image = task.image()
        is_split = _fits(image, _versions.airflow_minor())
    except Exception as error:
        log.say("error", str(error))
        raise
    if not is_split:
        log.say(
            "info",
            f"the image has Airflow {image.airflow} and this worker {_text(_versions.airflow_minor())}: the task's"
            " whole supervisor runs in the container",
        )
        return task.whole(log, arguments, image.stop_seconds)
    before = _looked_at.set(task)
    try:
        return original(**arguments)
    finally:
        _looked_at.reset(before)


def _fits(image: _image_airflow.Image, host: tuple[int, int]) -> bool:
    """Whether a supervisor of the minor `host` understands the image's task runner; an error where no way leads in."""
    try:
        minor = _versions.minor_of(image.airflow)
    except _versions.UnknownAirflowError as error:
        raise TasksError(f"the image has Airflow {image.airflow}: {error}") from error
    if minor == host:
        return True
    if minor < (3, 0):
        raise TasksError(f"the image has Airflow {image.airflow}: a task of Airflow 3 needs an image with Airflow 3")
    if host == (3, 0):
        # Its workloads have no dag_version_id, which those of every later one must have.
        raise TasksError(
            f"the image has Airflow {image.airflow} and this worker 3.0, which does not tell a newer one all that it"
            " has to know of a task: name an image with Airflow 3.0 for this DAG file"
        )
    if image.network == "none":
        raise TasksError(
            f"the image has Airflow {image.airflow} and this worker {_text(host)}: a task of another minor version"
            " talks to the API server itself, and NETWORK_MODE = none leaves it no network. Name an image of the"
            " worker's minor version for this DAG file, or set NETWORK_MODE in [task_execution_docker_runtime]"
        )
    return False


def _of_another_coordinator(ti: Any) -> bool:
    """Whether the operator has the task's queue served by something else than Airflow's task runner, such as a JVM."""
    try:
        from airflow.sdk.execution_time.coordinator import _PythonCoordinator, get_coordinator_manager
    except ImportError:
        return False
    coordinator = get_coordinator_manager().for_queue(getattr(ti, "queue", None) or "default")
    return not isinstance(coordinator, (_PythonCoordinator, _coordinator_class()))


def refuse_callbacks(module: ModuleType) -> None:
    """Has an executor refuse the callbacks of deadlines: they are code of a DAG's author, and would run on the host."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise TasksError(
            "a callback that an executor is to run would run outside of a container: with [core] task_execution_runtime"
            " = docker only callbacks that the triggerer runs (AsyncCallback) are possible"
        )

    # The one of 3.2, the one from 3.3 on.
    for name in ("execute_callback_workload", "supervise_callback"):
        if hasattr(module, name):
            setattr(module, name, refuse)


def _text(minor: tuple[int, int]) -> str:
    return f"{minor[0]}.{minor[1]}"


def _labels(what: Any) -> Mapping[str, str]:
    """Which task instance a container is, for who looks at containerd."""
    names = ("dag_id", "task_id", "run_id", "try_number", "map_index")
    return {name: str(getattr(what, name, None)) for name in names if getattr(what, name, None) is not None}


def _key(what: Any) -> list[str]:
    """Of one try of a task instance, a host never has two containers (docs/leash.md, run keys)."""
    parts = [getattr(what, name, None) for name in ("dag_id", "task_id", "run_id", "map_index", "try_number")]
    return [] if None in parts else [f"--key={'/'.join(map(str, parts))}"]


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
