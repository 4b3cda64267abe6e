"""Which Airflow a task's image has, and which network its container would have, before anything is told to Airflow.

In: a `Run` of PROGRAM for the DAG file. Out: what `airtight run --dry-run` plans for it, and the version of the image's
Airflow. What is installed only Python in the image can say, so a container that does nothing else is asked, once for
each image digest; the answer is kept in AIRFLOW_HOME. Must not be the last word: inside/task_v3.py looks again, since
an image's name may lead elsewhere a moment later.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from airtight_airflow import _command

# Of inside/: prints the version.
PROGRAM = "version.py"

# A container that starts Python and reads one file; the rest is for a loaded host.
_PROBE_SECONDS = 120


class ImageError(RuntimeError):
    """The image cannot be looked at: it is missing, its settings are refused, or it has no Airflow."""


@dataclass(frozen=True)
class Image:
    """What a container of a DAG file would be made of."""

    # As its own distribution says it, such as 3.2.2.
    airflow: str
    # The value of NETWORK_MODE that counts.
    network: str


def look(run: _command.Run, environment: Mapping[str, str]) -> Image:
    """The image and the network that containers of this DAG file get."""
    planned = replace(run, flags=[*run.flags, "--dry-run"])
    plan = json.loads(_output(planned, environment))["plan"]
    kept = _kept(plan["image"]["digest"])
    version = _read(kept)
    if version is None:
        version = _probe(run, environment)
        _write(kept, version)
    return Image(version, plan["namespaces"]["network"])


def _probe(run: _command.Run, environment: Mapping[str, str]) -> str:
    flags = [*run.flags, "--timeout", str(_PROBE_SECONDS)]
    return _output(replace(run, flags=flags), environment).strip()


def _output(run: _command.Run, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        _command.argv(run), env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise ImageError(f"the image of {run.dag_file} cannot be looked at: {done.stderr.strip()}")
    return done.stdout


def _kept(digest: str) -> Path:
    from airflow.settings import AIRFLOW_HOME

    return Path(AIRFLOW_HOME, ".airtight", "airflow-of-image", digest.replace(":", "-"))


def _read(kept: Path) -> str | None:
    try:
        return kept.read_text().strip() or None
    except OSError:
        return None


def _write(kept: Path, version: str) -> None:
    """What cannot be kept is asked again."""
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        new = kept.with_name(f"{kept.name}.{os.getpid()}")
        new.write_text(version)
        os.replace(new, kept)
