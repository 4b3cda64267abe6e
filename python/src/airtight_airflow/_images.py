"""Sees to it that the image of a task is in containerd before its container starts.

In: the name of an image, and the id of a connection with credentials. Out: the image is there, or an exception says why
not; `airtight image pull` fetches it, and its lines are in the task's log. Without a connection the worker's own files
count, as `airtight image pull --help` lists them. Must never put a password on a command line or into an environment.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from airtight_airflow import _command
from airtight_airflow._airflow import AirflowException
from airtight_airflow._child import Children, ask
from airtight_airflow._credentials import credentials
from airtight_airflow.exceptions import AirtightContainerFailedException

# What begins the lines of airtight itself.
_AIRTIGHT_SAYS = "airtight: "


def is_here(image: str) -> bool:
    """Whether a run would find it."""
    done = ask([_command.binary(), "image", "ls", "--quiet", "--", image], _environment())
    if done.returncode != 0:
        why = _reason(done.stderr.splitlines())
        raise AirflowException(f"Cannot look for the image {image}: {why}")
    return bool(done.stdout)


def pull(children: Children, image: str, conn_id: str | None, log: Any) -> None:
    """Fetches what the name means now, whatever it means here."""
    lines: list[str] = []

    def show(line: str) -> None:
        lines.append(given.shown(line))
        log.info("%s", lines[-1])

    with credentials(conn_id) as given:
        # As DockerOperator has it: Airflow's pages fold what is in between.
        log.info("::group::Pulling image %s%s", image, given.words)
        argv = [_command.binary(), "image", "pull", *given.flags, "--", image]
        try:
            status = children.run(argv, _environment(), given.descriptors, show)
        finally:
            log.info("::endgroup::")
    if status != 0:
        why = "it was stopped on request" if children.stopped else _reason(lines)
        raise AirtightContainerFailedException(f"The image {image} was not pulled{given.words}: {why}", lines)


def _environment() -> dict[str, str]:
    """The worker's, for proxies, authorities and helpers of registries, but nothing of Airflow's: it holds secrets."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))}


def _reason(lines: Sequence[str]) -> str:
    """The failure that airtight reports at last, with its hints."""
    begins = max((at for at, line in enumerate(lines) if line.startswith(_AIRTIGHT_SAYS)), default=len(lines))
    return "; ".join(line.strip() for line in lines[begins:]).removeprefix(_AIRTIGHT_SAYS) or "airtight did not say why"
