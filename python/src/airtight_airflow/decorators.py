"""`@task.airtight`: runs a Python function in a container, in the place of `@task.docker`.

In: a function of the DAG file and its arguments, and every parameter of AirtightOperator. Out: what it returns, as
XCom. Function and arguments go in, and the result comes out, through files of a mounted directory: neither is on a
command line or in the environment. The image needs a Python (3.6 or later) and nothing else, unless the serializer
does; `inside/call_function.py` is what runs there. Must not import the function's module in the container.
"""

from __future__ import annotations

import importlib
import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from airtight_airflow._airflow import AirflowException, DecoratedOperator, task_decorator_factory
from airtight_airflow._exchange import Exchange
from airtight_airflow.operators import AirtightOperator

_SERIALIZERS = ("pickle", "dill", "cloudpickle")

# Where the container finds what is handed over.
_CALL = "/opt/airtight_call"

# What every Python from 3.4 on reads: the image's may be older than the worker's.
_PICKLE_PROTOCOL = 4


class _AirtightDecoratedOperator(DecoratedOperator, AirtightOperator):
    """The operator behind one decorated function; parameters as of `@task.docker`."""

    custom_operator_name = "@task.airtight"

    template_fields: Sequence[str] = (*AirtightOperator.template_fields, "op_args", "op_kwargs")

    def __init__(
        self,
        python_command: str = "python3",
        expect_airflow: bool = True,
        serializer: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.serializer = serializer or "pickle"
        if self.serializer not in _SERIALIZERS:
            known = ", ".join(map(repr, _SERIALIZERS))
            raise AirflowException(f"serializer={serializer!r} is none of {known}")
        self.python_command = python_command
        self.expect_airflow = expect_airflow
        words = [*shlex.split(python_command), f"{_CALL}/call_function.py", _CALL]
        super().__init__(command=words, retrieve_output=True, retrieve_output_path=f"{_CALL}/output", **kwargs)

    @property
    def pickling_library(self) -> Any:
        """The module that reads and writes arguments and result."""
        return importlib.import_module(self.serializer)

    def _handed_over(self, exchange: Exchange) -> list[dict[str, Any]]:
        directory = exchange.directory("call")
        program = Path(__file__).with_name("inside") / "call_function.py"
        (directory / program.name).write_bytes(program.read_bytes())
        (directory / "function.py").write_text(self.get_python_source(), encoding="utf-8")
        call = {
            "function": self.python_callable.__name__,
            "serializer": self.serializer,
            "expect_airflow": self.expect_airflow,
        }
        (directory / "call.json").write_text(json.dumps(call), encoding="utf-8")
        if self.op_args or self.op_kwargs:
            args = [_plain(value) for value in self.op_args]
            given = {"args": args, "kwargs": {name: _plain(value) for name, value in self.op_kwargs.items()}}
            with (directory / "arguments").open("wb") as file:
                self.pickling_library.dump(given, file, protocol=_PICKLE_PROTOCOL)
        for path in directory.iterdir():
            # Whatever the worker's umask: readable for every user of the container.
            path.chmod(0o644)
        return [{"type": "bind", "source": str(directory), "target": _CALL}]


def _plain(value: Any) -> Any:
    """What mapped tasks returned comes as a lazy sequence of Airflow's, which asks the worker for its items."""
    if isinstance(value, Sequence) and type(value).__module__.startswith("airflow."):
        return list(value)
    return value


def airtight_task(python_callable: Callable | None = None, multiple_outputs: bool | None = None, **kwargs: Any) -> Any:
    """
    Makes a function a task that runs in a container.

    :param python_callable: the function
    :param multiple_outputs: push each item of a returned dict as an XCom of its own, under its key
    :param kwargs: parameters of AirtightOperator, and ``python_command``, ``expect_airflow``, ``serializer``
    """
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=multiple_outputs,
        decorated_operator_class=_AirtightDecoratedOperator,
        **kwargs,
    )
