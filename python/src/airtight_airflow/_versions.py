"""Which versions of Airflow this package knows.

In: the version of the installed Airflow. Out: its minor as a pair, such as (3, 3). An unknown one is refused when
Airflow starts: the seams used here are not part of Airflow's public interface, and half working would be worse than
not starting. Must never guess.
"""

from __future__ import annotations

import re

KNOWN = ((2, 10), (2, 11), (3, 0), (3, 1), (3, 2), (3, 3))


class UnknownAirflowError(RuntimeError):
    """The installed Airflow is of a minor version that nobody has tried with this package."""


def minor_of(version: str) -> tuple[int, int]:
    """The known minor that `version` is of."""
    match = re.match(r"(\d+)\.(\d+)(?!\d)", version)
    minor = (int(match[1]), int(match[2])) if match else None
    if minor not in KNOWN:
        known = ", ".join(f"{major}.{minor}" for major, minor in KNOWN)
        raise UnknownAirflowError(
            f"airtight_airflow does not know Airflow {version}; it knows {known}. Install a version of airtight_airflow"
            " that knows it, or empty [core] task_execution_runtime and scheduler_dag_parsing_runtime"
        )
    return minor


def airflow_minor() -> tuple[int, int]:
    """The minor version of the Airflow that is installed here."""
    import airflow

    return minor_of(airflow.__version__)
