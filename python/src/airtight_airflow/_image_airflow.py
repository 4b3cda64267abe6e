"""Which Airflow a task's image has, and what its container would be, before anything is told to Airflow.

In: a `Run` of PROGRAM for the DAG file. Out: what `airtight run --dry-run` plans for it, and the version of the image's
Airflow. What is installed only Python in the image can say, so a container that does nothing else is asked, once for
each image digest; the answer is kept in AIRFLOW_HOME, for every DAG file with this image. So of what the author of one
file sets, nothing may get into that container but the image. Must not be the last word: inside/task_v3.py looks again,
since an author's variables may lead to another Python, and an image's name elsewhere a moment later.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from airtight_airflow import _child, _command, _versions
from airtight_airflow._memory_file import MemoryFile

# Of inside/: prints the version.
PROGRAM = "version.py"

# A version; what else an image may print here is not worth reading.
_MOST_BYTES = 200

# The operator's settings for tasks count too, such as where containerd listens. Starting Python and reading one file
# takes a tenth of this memory; the time is for a loaded host, and `ask` waits longer.
# Python runs as it will for the task, not isolated (-I): an image may have its Airflow by a PYTHONPATH of its own.
_PROBE = (
    *("--network=none", "--read-only", "--pids-limit=64", "--timeout=120"),
    *("--memory=512m", "--memory-swap=512m", "--memory-reservation=0"),
)


class ImageError(RuntimeError):
    """The image cannot be looked at: it is missing, its settings are refused, or it has no Airflow."""


@dataclass(frozen=True)
class Image:
    """What a container of a DAG file would be made of."""

    # As its own distribution says it, such as 3.2.2.
    airflow: str
    # The value of NETWORK_MODE that counts.
    network: str
    # STOP_TIMEOUT: from the signal of a stop to SIGKILL.
    stop_seconds: float


def look(run: _command.Run, environment: Mapping[str, str]) -> Image:
    """The image of a DAG file, and what its containers get."""
    try:
        planned = _answer(_command.argv(replace(run, flags=[*run.flags, "--dry-run"])), environment)
        plan = json.loads(planned)["plan"]
        version = _read(plan["image"]["digest"]) or _probe(run.profile, plan["image"]["name"], environment)
    except (_command.CommandError, ImageError) as why:
        raise ImageError(f"the image of {run.dag_file} cannot be looked at: {why}") from why
    return Image(version, plan["namespaces"]["network"], plan["stop"]["timeout"]["secs"])


def _probe(profile: str, name: str, environment: Mapping[str, str]) -> str:
    """Asks the image, and keeps an answer that is one."""
    with MemoryFile("") as verdict:
        flags = [f"--image={name}", *_PROBE, f"--verdict={verdict.path}"]
        words = _command.argv(_command.Run(profile, None, PROGRAM, flags=flags))
        version = _answer(words, environment, descriptors=[verdict.descriptor], most=_MOST_BYTES).strip()
        # Of the image that was asked: since the plan was made, its name may have come to mean another.
        digest = json.loads(Path(verdict.path).read_text())["image_digest"]
    if _is_known(version):
        _write(digest, version)
    return version


def _answer(words: list[str], environment: Mapping[str, str], **how: Any) -> str:
    done = _child.ask(words, environment, **how)
    if done.returncode != 0:
        raise ImageError(done.stderr.strip())
    return done.stdout


def _kept(digest: str) -> Path:
    from airflow.settings import AIRFLOW_HOME

    return Path(AIRFLOW_HOME, ".airtight", "airflow-of-image", digest.replace(":", "-"))


def _read(digest: str) -> str | None:
    try:
        version = _kept(digest).read_text()
    except OSError:
        return None
    return version if _is_known(version) else None


def _write(digest: str, version: str) -> None:
    """What cannot be kept is asked again."""
    kept = _kept(digest)
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        new = kept.with_name(f"{kept.name}.{os.getpid()}")
        new.write_text(version)
        os.replace(new, kept)


def _is_known(version: str) -> bool:
    try:
        _versions.minor_of(version)
    except _versions.UnknownAirflowError:
        return False
    return True
