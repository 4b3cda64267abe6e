"""What the parameters of DockerOperator say, in flags of `airtight run`.

In: single parameters as a DAG gives them, docker-py's own types included: those are dicts, so the package `docker` is
not needed. Out: words of a command line. `Refused` says what airtight cannot do, and what to do instead. Pure: nothing
is read or made. Must never handle a variable's value: that stays off command lines (`_variables.py`).
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

# What the kernel makes of cpu.shares beyond its limits (kernel/sched/sched.h, MIN_SHARES and MAX_SHARES).
_MIN_SHARES, _MAX_SHARES = 2, 1 << 18

_NETWORKS = "this version of airtight has two networks: 'none' (loopback only, also where nothing is said) and 'host'"


class Refused(ValueError):
    """A parameter asks for what airtight cannot do."""


def words(command: str | Iterable[Any] | None) -> list[str]:
    """A command: a list, a text as for a shell, or the text of a Python list (it begins with `[`)."""
    if isinstance(command, str) and command.strip().startswith("["):
        try:
            command = ast.literal_eval(command.strip())
        except (ValueError, SyntaxError) as why:
            raise Refused(f"the command begins with '[' and is no Python list: {why}") from None
    if isinstance(command, str):
        try:
            return shlex.split(command)
        except ValueError as why:
            raise Refused(f"the command cannot be split into words: {why}") from None
    return [str(word) for word in command or ()]


def process(entrypoint: str | list[str] | None, command: str | list[str] | None) -> tuple[list[str], list[str]]:
    """The flags and the words behind them. airtight's entrypoint is one word; the others go before the command's."""
    if entrypoint is None:
        return [], words(command)
    first, *others = words(entrypoint) or [""]
    return [f"--entrypoint={first}"], [*others, *words(command)]


def cpu_shares(cpus: float) -> str:
    """DockerOperator's `cpus` are a weight, 1024 for each; 0 leaves the weight alone."""
    shares = round(cpus * 1024)
    return f"--cpu-shares={min(max(shares, _MIN_SHARES), _MAX_SHARES) if shares > 0 else shares}"


def memory(limit: float | str | None) -> list[str]:
    """A number is bytes."""
    if not limit:
        return []
    return [f"--memory={limit if isinstance(limit, str) else int(limit)}"]


def network(mode: str | None) -> list[str]:
    """The network, where something is said about it."""
    if not mode:
        return []
    if mode not in ("none", "host"):
        raise Refused(f"network_mode={mode!r}: {_NETWORKS}")
    return [f"--network={mode}"]


def ipc(mode: str | None) -> list[str]:
    """Shared memory and its like."""
    if not mode:
        return []
    if mode not in ("private", "none", "host"):
        raise Refused(f"ipc_mode={mode!r}: airtight has 'private' (the default), 'none' and 'host'")
    return [f"--ipc={mode}"]


def name(container_name: str | None) -> str | None:
    """containerd's ids take no two of `.`, `_` and `-` in a row, and none at the end; docker's names do."""
    if not container_name:
        return None
    return re.sub(r"[._-]+", lambda run: run[0][0], container_name).rstrip("._-")


def labels(given: Mapping[str, str] | Iterable[str] | None) -> list[str]:
    """A mapping, or a list of names whose values are empty."""
    pairs = given if isinstance(given, Mapping) else dict.fromkeys(given or (), "")
    return [f"--label={label}={value}" for label, value in pairs.items()]


def ulimits(given: Iterable[Any]) -> list[str]:
    """`docker.types.Ulimit` or dicts like it; one of soft and hard stands for both."""
    flags = []
    for limit in given:
        kind, soft, hard = (_field(limit, key) for key in ("name", "soft", "hard"))
        if not kind or (soft is None and hard is None):
            raise Refused(f"ulimits: {limit!r} needs a name, and soft or hard")
        flags.append(f"--ulimit={kind}={hard if soft is None else soft}:{soft if hard is None else hard}")
    return flags


def mount(given: Any) -> str:
    """A `docker.types.Mount`, a dict like it, or a dict of its constructor's arguments, as `--mount` takes it."""
    if not isinstance(given, Mapping):
        raise Refused(f"mounts: {given!r} is neither a docker.types.Mount nor a dict")
    kind = _field(given, "type") or "volume"
    source, target = _field(given, "source"), _field(given, "target")
    if not target:
        raise Refused(f"mounts: {dict(given)!r} has no target")
    if kind == "volume" and source:
        raise Refused(f"mounts: airtight keeps no named volumes, such as {source!r}: bind-mount a host directory")
    if kind not in ("bind", "tmpfs", "volume"):
        raise Refused(f"mounts: {target}: airtight has no mounts of type {kind!r}, but 'bind' and 'tmpfs'")
    _check_options(given, str(target))
    fields = [f"type={kind}", *([f"source={source}"] if source else []), f"target={target}"]
    if _field(given, "read_only", "ReadOnly"):
        fields.append("readonly")
    fields += _mount_options(given)
    return "--mount=" + ",".join(_quoted(field) for field in fields)


# Options of volumes and binds that would change what a task sees, where airtight has nothing like them.
_FOREIGN = ("driver_config", "DriverConfig", "subpath", "Subpath", "NonRecursive", "CreateMountpoint")


def _check_options(given: Mapping[str, Any], target: str) -> None:
    for options in (given, *(_field(given, key) or {} for key in ("BindOptions", "VolumeOptions", "TmpfsOptions"))):
        foreign = [key for key in _FOREIGN if options.get(key)]
        if foreign:
            raise Refused(f"mounts: {target}: airtight has nothing like {', '.join(foreign)}")


def _mount_options(given: Mapping[str, Any]) -> list[str]:
    bind, memory_options = _field(given, "BindOptions") or {}, _field(given, "TmpfsOptions") or {}
    propagation = _field(given, "propagation") or bind.get("Propagation")
    size = _field(given, "tmpfs_size") or memory_options.get("SizeBytes")
    mode = _field(given, "tmpfs_mode") or memory_options.get("Mode")
    return [
        *([f"bind-propagation={propagation}"] if propagation else []),
        *([f"tmpfs-size={size}"] if size else []),
        # docker-py's is a number, the kernel's option is octal digits.
        *([f"tmpfs-mode={mode:o}"] if mode else []),
    ]


def _field(given: Any, *keys: str) -> Any:
    """One field of docker-py's types: constructors spell it `read_only`, the dicts they make `ReadOnly`."""
    for key in (*keys, *(key.capitalize() for key in keys)):
        value = given.get(key) if isinstance(given, Mapping) else getattr(given, key, None)
        if value is not None:
            return value
    return None


def _quoted(field: str) -> str:
    """As RFC 4180, which `--mount` reads, has it: a field with commas stands in quotes."""
    if "," not in field and '"' not in field:
        return field
    return '"' + field.replace('"', '""') + '"'


def shown(mounts: Iterable[Any]) -> list[tuple[str, str]]:
    """The target and source of each bind mount."""
    pairs = []
    for given in mounts:
        if isinstance(given, Mapping) and _field(given, "type") == "bind":
            pairs.append((str(_field(given, "target")), str(_field(given, "source"))))
    return pairs
