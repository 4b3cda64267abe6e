"""Imports what a DAG file will import of Airflow, before a process is forked for it: later forks have it for nothing.

In: the path of a file, whose text is looked at and never executed or compiled: it may be written to hurt who reads it.
Out: modules of the image's own Airflow in this process, and the names that they load when first asked for. Must never
import anything but `airflow.…` from the directory that the image's Airflow itself came from.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import stat

# Of a file, this much is looked at.
_TEXT_BYTES = 1 << 20

# Files may name everything that an image has; what is here stays until the container ends.
_MOST_MODULES = 500

# `import airflow.x` and `from airflow.x import (a, b as c)`; a name too few or too many costs only time.
_IMPORT = re.compile(
    r"^[ \t]*(?:import[ \t]+(?P<plain>airflow(?:\.\w+)*)\b"
    r"|from[ \t]+(?P<module>airflow(?:\.\w+)*)[ \t]+import[ \t]*(?:\((?P<many>[\w\s,]*)|(?P<names>[\w \t,]*)))",
    re.MULTILINE,
)

# Modules that execute DAGs of their own when they are imported.
_EXAMPLES = "example_dags"

_done: set[str] = set()


def import_ahead(path: str) -> None:
    """For the DAG file `path`; what cannot be imported the file's own fork will say."""
    import airflow

    home = os.path.dirname(os.path.abspath(next(iter(airflow.__path__))))
    for module, names in named_in(_text(path)):
        for name in ["", *names]:
            wanted = f"{module}.{name}"
            if wanted not in _done and len(_done) < _MOST_MODULES and _EXAMPLES not in wanted:
                _done.add(wanted)
                _load(module, name, home)


def named_in(text: str) -> list[tuple[str, list[str]]]:
    """The modules of Airflow that a file names in import statements, and what it wants of them."""
    found = []
    for match in _IMPORT.finditer(text):
        names = [words.split()[0] for words in (match["many"] or match["names"] or "").split(",") if words.strip()]
        found.append((match["plain"] or match["module"], names))
    return found


def _load(module: str, name: str, home: str) -> None:
    try:
        loaded = _module(module, home)
        # Airflow loads much only when it is asked for it by name; some names are modules.
        if loaded is not None and name and not hasattr(loaded, name):
            _module(f"{module}.{name}", home)
    except (Exception, SystemExit):
        pass


def _module(name: str, home: str) -> object:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None or not os.path.abspath(found.origin).startswith(f"{home}/"):
        return None
    return importlib.import_module(name)


def _text(path: str) -> str:
    """The beginning of a regular file; of anything else nothing."""
    try:
        # Anything can be there, such as a pipe that nobody writes to.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return os.read(descriptor, _TEXT_BYTES).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
