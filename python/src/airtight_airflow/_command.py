"""The one place that builds the command line of an `airtight run` in Airflow's own service.

In: a `Run`: what is to be run, for which DAG file, with which descriptors, mounts and variables. Out: an argv. What an
operator runs shares nothing with it but the program: no profile, DAG file or program of ours (`_request.py`).
Variables are named only (`-e NAME`): their values come from the environment of `airtight`, because everybody on the
host can read a command line. Must never put a value of a variable into the argv.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TASK_EXECUTION = "task-execution"

# The exit code of --as-payload where airtight, not the payload, failed.
AIRTIGHT_FAILED = 121

# Where the programs of inside/ are found in a container.
INSIDE = "/opt/airtight_airflow"


class CommandError(RuntimeError):
    """airtight cannot be called: it is not installed, or a path cannot be handed over."""


@dataclass(frozen=True)
class Run:
    """One container: what runs in it, and what it is given."""

    profile: str
    # None: the operator's settings alone.
    dag_file: str | None
    # A file of inside/ and its arguments, run by the image's own python3.
    program: str
    arguments: Sequence[str] = ()
    # Descriptors from 3 up; 0, 1 and 2 are connected anyway.
    descriptors: Sequence[int] = ()
    # Host paths, mounted at the same path inside.
    read_only: Sequence[str] = ()
    writable: Sequence[str] = ()
    # Names of variables in airtight's environment: plain ones, and those whose value is shown nowhere.
    variables: Sequence[str] = ()
    secrets: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    # Further flags of `airtight run`, each a whole word.
    flags: Sequence[str] = ()


def argv(run: Run) -> list[str]:
    """The command line for `run`, beginning with the path of airtight."""
    words = [binary(), "run", "--as-payload", "--profile", run.profile, "-i"]
    if run.dag_file is not None:
        words += ["--dag-file", run.dag_file]
    for descriptor in run.descriptors:
        words += ["--pass-fd", str(descriptor)]
    for mount in mounts(run.read_only, run.writable):
        words += ["--mount", mount]
    for name in run.variables:
        words += ["-e", name]
    for name in run.secrets:
        words += ["--private-env", name]
    for name, value in run.labels.items():
        words += ["--label", f"{name}={value}"]
    words += run.flags
    return [*words, "--entrypoint", "python3", "--", f"{INSIDE}/{run.program}", *run.arguments]


def mounts(read_only: Sequence[str], writable: Sequence[str] = ()) -> list[str]:
    """What is mounted: the programs of inside/, and host paths at the same path inside."""
    inside = _bind(str(Path(__file__).parent / "inside"), INSIDE, "readonly")
    return [inside, *(_bind(path, path, "readonly") for path in read_only), *(_bind(path, path) for path in writable)]


def binary() -> str:
    """The one that AIRTIGHT_BIN names, else the one that was installed with this package, else the one on PATH."""
    if named := os.environ.get("AIRTIGHT_BIN"):
        return shutil.which(named) or named
    installed = Path(sysconfig.get_path("scripts")) / "airtight"
    if installed.is_file():
        return str(installed)
    found = shutil.which("airtight")
    if found is None:
        raise CommandError(f"no airtight at {installed} or on PATH: install airtight-airflow's wheel for this host")
    return found


def _bind(source: str, target: str, *options: str) -> str:
    for path in (source, target):
        if "," in path or '"' in path:
            raise CommandError(f"{path}: a path with a comma or a quote cannot be mounted into a container")
    return ",".join(["type=bind", f"source={source}", f"target={target}", *options])
