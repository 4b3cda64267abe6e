"""What of a running container can be seen from the host: its processes, and what containerd has written down of it.

In: the container of a task, by its label `task_id`. Out: places that hold something which looks like a secret. Root's
view: an environment or a command line that nobody in the container may read counts as well.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

SECRETS = re.compile(rb"airtight-secret-|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}")


def ctr(*words: str) -> str:
    """What containerd answers; the test's own one is in CONTAINERD_ADDRESS."""
    command = ["ctr", "-n", "airtight", *words]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def containers() -> list[str]:
    """Every container of airtight's."""
    return ctr("containers", "ls", "-q").split()


def container_of(task_id: str, seconds: int) -> str:
    """The container of a task that is about to run, once its process has begun."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for container in containers():
            described = ctr("containers", "info", container)
            is_it = described and json.loads(described)["Labels"].get("task_id") == task_id
            # Its init, and the payload.
            if is_it and len(processes(container)) > 1:
                return container
        time.sleep(0.1)
    raise AssertionError(f"no container of {task_id} in {seconds} s")


def processes(container: str) -> list[Path]:
    """The directories in /proc of all that runs in a container."""
    lines = [line.split() for line in ctr("tasks", "ls").splitlines()[1:]]
    inits = [words[1] for words in lines if words[0] == container]
    if not inits:
        return []
    try:
        own = Path(f"/proc/{inits[0]}/ns/pid").readlink()
    except OSError:
        return []
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if (directory / "ns/pid").readlink() == own:
                found.append(directory)
        except OSError:
            continue
    return found


def places_with_secrets(container: str) -> list[str]:
    """Names of what holds one: `COMMAND/environ`, `COMMAND/cmdline`, `spec`."""
    found = []
    for directory in processes(container):
        try:
            command = (directory / "comm").read_text().strip()
            views = {name: (directory / name).read_bytes() for name in ("environ", "cmdline")}
        except OSError:
            continue
        found += [f"{command}/{name}" for name, view in views.items() if SECRETS.search(view)]
    # The OCI spec, the labels, the image.
    if SECRETS.search(ctr("containers", "info", container).encode()):
        found.append("spec")
    return sorted(found)
