"""What one AirtightOperator asks of `airtight run`: from its parameters to flags, mounts and variables.

In: the operator after its templates were rendered, and the directory that it shares with the container. Out: words of a
command line, the variables beside it, and where a result file will be on the host. What airtight cannot do is `Refused`
here, before anything starts. Must never put a variable's value on the command line.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airtight_airflow import _dotenv, _translate
from airtight_airflow._exchange import Exchange, host_place
from airtight_airflow._translate import Refused
from airtight_airflow._variables import Variables

if TYPE_CHECKING:
    from airtight_airflow.operators import AirtightOperator

# What only concerns the client of a Docker daemon, with DockerOperator's defaults.
_CLIENT_ONLY = {
    "api_version": None,
    "docker_url": None,
    "timeout": 60,
    "tls_ca_cert": None,
    "tls_client_cert": None,
    "tls_client_key": None,
    "tls_hostname": None,
    "tls_ssl_version": None,
    "tls_verify": True,
}


def refuse_what_cannot_be(task: AirtightOperator) -> None:
    """Where a parameter asks for something that airtight has not."""
    if task.port_bindings:
        raise Refused("port_bindings: this version of airtight publishes no ports; network_mode='host' shares them")
    if task.device_requests:
        raise Refused("device_requests: this version of airtight cannot hand devices such as GPUs to a task")
    if task.retrieve_output and not task.retrieve_output_path:
        raise Refused("retrieve_output needs retrieve_output_path")


def say_what_is_unused(task: AirtightOperator) -> None:
    """In the task's log."""
    client = [name for name, default in _CLIENT_ONLY.items() if getattr(task, name) != default]
    if client:
        task.log.info("Not used, since no Docker client is involved: %s", ", ".join(client))
    if task.log_opts_max_size or task.log_opts_max_file:
        task.log.warning("log_opts_max_size and log_opts_max_file are not used: no log is kept but this one")
    if not task.network_mode:
        task.log.info("network_mode is not set: the container has no network, not docker's bridge")


def words(task: AirtightOperator, all_mounts: list[dict[str, Any]], variables: Variables, verdict: Path) -> list[str]:
    """Everything behind `airtight run`."""
    entrypoint, command = _translate.process(task.entrypoint, task.command)
    flags = [*_flags(task), *(_translate.mount(mount) for mount in all_mounts), *entrypoint, *variables.flags()]
    return [*flags, f"--verdict={verdict}", "--", *command]


def _flags(task: AirtightOperator) -> list[str]:
    given = {
        "name": _name(task),
        "user": task.user,
        "workdir": task.working_dir,
        "hostname": task.hostname,
        "shm-size": task.shm_size,
    }
    return [
        f"--image={task.image}",
        *(f"--{flag}={value}" for flag, value in given.items() if value not in (None, "")),
        _translate.cpu_shares(task.cpus),
        *_translate.memory(task.mem_limit),
        *_translate.network(task.network_mode),
        *_translate.ipc(task.ipc_mode),
        *_translate.labels(task.labels),
        *_translate.ulimits(task.ulimits),
        *(f"--cap-add={capability}" for capability in task.cap_add or ()),
        *(["--privileged"] if task.privileged else []),
        *(["--tty"] if task.tty else []),
    ]


def _name(task: AirtightOperator) -> str | None:
    name = _translate.name(task.container_name)
    if name != task.container_name and name:
        task.log.info("The container's name is %s: containerd takes no name such as %s", name, task.container_name)
    return name


def variables(task: AirtightOperator, private: Mapping[str, Any]) -> Variables:
    """With docker's precedence: the file's, `environment`, private ones; to be closed."""
    from_file: dict[str, str | None] = {}
    if task.env_file is not None:
        from_file, strange = _dotenv.read(task.env_file, os.environ)
        if strange:
            task.log.warning("env_file: passed over, since they are no variables: lines %s", strange)
    plain = {**from_file, **task.environment}
    if task.mount_tmp_dir:
        plain["AIRFLOW_TMP_DIR"] = task.tmp_dir
    elif "AIRFLOW_TMP_DIR" in task.environment:
        del plain["AIRFLOW_TMP_DIR"]
    return Variables(plain, private)


def mounts(task: AirtightOperator, exchange: Exchange) -> list[dict[str, Any]]:
    """All but what a subclass adds, the user's last: of two with one target, airtight takes the later."""
    own = []
    if task.extra_hosts:
        hosts = exchange.hosts(task.extra_hosts, shared=task.network_mode == "host")
        own.append(_bind(hosts, "/etc/hosts"))
    if task.dns or task.dns_search:
        own.append(_bind(exchange.resolver(task.dns, task.dns_search), "/etc/resolv.conf"))
    if task.mount_tmp_dir:
        own.append(_bind(exchange.directory("tmp"), task.tmp_dir))
    return [*own, *task.mounts]


def output_place(
    task: AirtightOperator, exchange: Exchange, all_mounts: list[dict[str, Any]]
) -> tuple[str, str] | None:
    """Where the result will be on the host; a path that no mount shows becomes a mounted file of its own."""
    if not task.retrieve_output:
        return None
    path = posixpath.normpath("/" + str(task.retrieve_output_path).lstrip("/"))
    place = host_place(path, _translate.shown(all_mounts))
    if place is None:
        file = exchange.file("output")
        all_mounts.append(_bind(file, path))
        place = (str(file.parent), file.name)
    return place


def _bind(source: Path, target: str) -> dict[str, Any]:
    return {"type": "bind", "source": str(source), "target": target}
