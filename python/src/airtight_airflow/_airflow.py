"""The names of Airflow that moved between 2.10 and 3.3, from wherever this Airflow has them.

In: the installed Airflow. Out: the operator's base class, the exceptions its task runner knows, what looks up
connections, and what keeps a secret out of the task log. Must not be imported by what runs before Airflow is fully
loaded (`plugin.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airtight_airflow._versions import airflow_minor

# The SDK's exceptions are looked for first: where `airflow.exceptions` is imported before `airflow.sdk`, Airflow 3.3
# makes two classes of the name AirflowException, and its task runner knows only the SDK's.
try:
    from airflow.sdk.exceptions import AirflowException, AirflowSkipException
except ImportError:
    from airflow.exceptions import AirflowException, AirflowSkipException  # type: ignore[no-redef,assignment]

_MINOR = airflow_minor()

if TYPE_CHECKING or _MINOR >= (3, 1):
    from airflow.sdk import BaseHook, BaseOperator
else:
    from airflow.hooks.base import BaseHook

    # The SDK's own of 3.0 has no xcom_push, which its DecoratedOperator calls.
    from airflow.models import BaseOperator

if TYPE_CHECKING or _MINOR >= (3, 0):
    from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory
else:
    from airflow.decorators.base import DecoratedOperator, task_decorator_factory

try:
    from airflow.sdk.log import mask_secret
except ImportError:
    try:
        from airflow.sdk.execution_time.secrets_masker import mask_secret  # type: ignore[no-redef]
    except ImportError:
        from airflow.utils.log.secrets_masker import mask_secret  # type: ignore[no-redef]

__all__ = [
    "AirflowException",
    "AirflowSkipException",
    "BaseHook",
    "BaseOperator",
    "DecoratedOperator",
    "mask_secret",
    "task_decorator_factory",
]
