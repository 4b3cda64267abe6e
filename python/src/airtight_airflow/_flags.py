"""The feature flags of AIP-46: `[core] task_execution_runtime` and `[core] scheduler_dag_parsing_runtime`.

In: Airflow's configuration. Out: whether a half is on. Anything but `docker` or empty is an error, so that a typing
mistake never means that DAGs quietly run without their container. Must never have a default other than off.
"""

from __future__ import annotations

TASKS = "task_execution_runtime"
PARSING = "scheduler_dag_parsing_runtime"


class FlagError(ValueError):
    """A feature flag has a value that nobody knows."""


def enabled(flag: str) -> bool:
    """Whether the half that `flag` (TASKS or PARSING) switches is on."""
    from airflow.configuration import conf

    value = (conf.get("core", flag, fallback="") or "").strip()
    if value not in ("", "docker"):
        raise FlagError(f"[core] {flag} = {value}: it must be docker, or empty for off")
    return value == "docker"
