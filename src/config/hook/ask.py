"""Asks the operator's airflow_local_settings.py for the image.

In: sys.argv, as hook/mod.rs writes it. Out, on the pipe that was standard output: a NUL byte, then
null where the function is not defined, else {"image", "file", "line"}. Exit code 1 with a traceback
on standard error: it failed. It never imports from the working directory or the DAGs folder.
For Python 3.8 and later.
"""

import sys

# The working directory; Python knows no other way to say it before 3.11.
sys.path[:] = [entry for entry in sys.path if entry]

import faulthandler
import importlib.util
import json
import os
import traceback

MODULE = "airflow_local_settings"
FUNCTION = "get_docker_runtime_image"


class NeverTheDags:
    """First in sys.meta_path; finds nothing.

    Airflow 2 puts the DAGs folder on sys.path when it is imported, which the operator's module may
    do. Before each search, it is taken off again.
    """

    def __init__(self, dags):
        self.dags = os.path.realpath(dags)
        self.known = {}

    def find_spec(self, name, path=None, target=None):
        sys.path[:] = [entry for entry in sys.path if self.is_outside(entry)]

    def is_outside(self, entry):
        if entry not in self.known:
            below = os.path.join(os.path.realpath(entry), "")
            self.known[entry] = not below.startswith(os.path.join(self.dags, ""))
        return self.known[entry]


def ask(image, airflow_first, outside):
    # A link may lead from the operator's folder to where authors write; nothing of it is run.
    spec = importlib.util.find_spec("airflow_local_settings")
    if spec is not None and spec.origin is not None and not outside.is_outside(spec.origin):
        raise PermissionError(f"{spec.origin} leads into the DAGs folder, where authors write")
    if airflow_first:
        # In this order Airflow itself does it: its initialization imports the module. The other way
        # round it would find a module that is only half there, and not all of what __all__ names.
        try:
            import airflow  # noqa: F401
        except ModuleNotFoundError:
            pass  # The module's own import says it, and where.
    import airflow_local_settings as module

    # As airflow.settings.import_local_settings.
    if hasattr(module, "__all__"):
        names = set(module.__all__)
    else:
        names = {name for name in module.__dict__ if not name.startswith("__")}
    if FUNCTION not in names:
        return None
    function = getattr(module, FUNCTION)
    answer = function(image)
    if answer is not None and not isinstance(answer, str):
        kind = type(answer).__name__
        raise TypeError(f"{FUNCTION} returned {kind}; it must be a str, or None to keep the image")
    if answer == "":
        raise ValueError(f"{FUNCTION} returned an empty str; None keeps the image")
    code = getattr(getattr(function, "__wrapped__", function), "__code__", None)
    file = code.co_filename if code else module.__file__
    return {
        "image": answer,
        "file": os.fsencode(file).decode("utf-8", "replace"),
        "line": code.co_firstlineno if code else None,
    }


def main():
    # What the module prints, and what it starts, is no answer.
    pipe = os.dup(1)
    os.dup2(2, 1)
    seconds, image, airflow_first, dags, *path = sys.argv[1:]
    sys.argv[1:] = []
    # Says where it hangs, and ends us also when nobody is left who could.
    faulthandler.dump_traceback_later(float(seconds), exit=True)
    outside = NeverTheDags(dags)
    sys.meta_path.insert(0, outside)
    # At the end, as Airflow does.
    sys.path.extend(entry for entry in path if entry not in sys.path)
    try:
        reply = json.dumps(ask(image, airflow_first == "yes", outside), ensure_ascii=False).encode()
        status = 0
    except BaseException as error:
        # Without the frames of this file.
        frames = error.__traceback__
        while frames and frames.tb_frame.f_globals is globals():
            frames = frames.tb_next
        traceback.print_exception(type(error), error, frames)
        status = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # Closed by the module, or nobody reads it.
    if status == 0:
        with os.fdopen(pipe, "wb") as out:
            out.write(b"\0" + reply)
    # Threads that the module has left running are not waited for.
    os._exit(status)


main()
