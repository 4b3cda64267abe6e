"""Calls a Python function in the container: the inner half of `@task.airtight`.

In: the directory that the worker handed over: `function.py`, `call.json` (the function's name, the serializer, whether
Airflow is expected) and, with arguments, `arguments`. Out: `output`, with what the function returned; empty for None.
It ends as the function does: an exception is printed and the exit code is 1. The standard library is all it needs,
from Python 3.6 on; must not leave anything in the container's way, such as its own names among the function's.
"""

import importlib
import json
import os
import sys
import types

# What every Python from 3.4 on reads: the image's and the worker's may differ.
PICKLE_PROTOCOL = 4


def main(directory):
    with open(os.path.join(directory, "call.json"), encoding="utf-8") as file:
        call = json.load(file)
    serializer = importlib.import_module(call["serializer"])
    if call["expect_airflow"]:
        load_macros()
    function = load_function(os.path.join(directory, "function.py"), call["function"])
    args, kwargs = read_arguments(os.path.join(directory, "arguments"), serializer)
    result = function(*args, **kwargs)
    if result is not None:
        with open(os.path.join(directory, "output"), "wb") as file:
            serializer.dump(result, file, protocol=PICKLE_PROTOCOL)


def load_macros():
    """What plugins add to Airflow's macros has to be there before a pickled context is read."""
    try:
        from airflow.plugins_manager import integrate_macros_plugins
    except ImportError:
        return
    integrate_macros_plugins()


def load_function(path, name):
    """The function, in a `__main__` of its own, so that what it defines is pickled as a script's would be."""
    module = types.ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    with open(path, "rb") as file:
        source = file.read()
    exec(compile(source, path, "exec"), module.__dict__)
    return module.__dict__[name]


def read_arguments(path, serializer):
    if not os.path.exists(path):
        return [], {}
    with open(path, "rb") as file:
        given = serializer.load(file)
    return given["args"], given["kwargs"]


if __name__ == "__main__":
    main(sys.argv[1])
