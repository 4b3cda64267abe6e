"""Imports what a DAG file will import of Airflow, before a process is forked for it: later forks have it for nothing.

In: the path of a file, whose text is looked at and never executed or compiled: it may be written to hurt who reads it.
Out: modules of the image's own Airflow in this process, and the names that they load when first asked for. Each is
tried in a fork first. What warns is left to the forks of the files, so that each of them is told; and so is what would
be something else there, where directories count that do not count here (`_paths.py`). Must never import anything but
`airflow.…` from the directory that the image's Airflow itself came from, nor what that would import from elsewhere.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import stat
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

import _paths

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

# How many are tried in one fork, which tells their number by its exit code.
_MOST_TRIED = 200

# Modules that execute DAGs of their own when they are imported.
_EXAMPLES = "example_dags"

_done: set[str] = set()


def import_ahead(path: str) -> None:
    """For the DAG file `path`; what cannot be imported the file's own fork will say."""
    import airflow

    home = os.path.dirname(os.path.abspath(next(iter(airflow.__path__))))
    new = []
    for module, names in named_in(_text(path)):
        for name in ["", *names]:
            wanted = f"{module}.{name}"
            if wanted not in _done and len(_done) < _MOST_MODULES and _EXAMPLES not in wanted:
                _done.add(wanted)
                if not _is_here(module, name):
                    new.append((module, name))
    while new:
        batch = new[:_MOST_TRIED]
        clean = _try(batch, home)
        for module, name in batch[:clean]:
            _load(module, name, home)
        # The first one that is not clean is left to the forks.
        new = new[clean + 1 :] if clean < len(batch) else new[clean:]


def named_in(text: str) -> list[tuple[str, list[str]]]:
    """The modules of Airflow that a file names in import statements, and what it wants of them."""
    found = []
    for match in _IMPORT.finditer(text):
        names = [words.split()[0] for words in (match["many"] or match["names"] or "").split(",") if words.strip()]
        found.append((match["plain"] or match["module"], names))
    return found


def _is_here(module: str, name: str) -> bool:
    loaded = sys.modules.get(module)
    # Not asked for it: it may be one of those that are loaded then.
    return loaded is not None and (not name or name in vars(loaded))


def _try(wanted: list[tuple[str, str]], home: str) -> int:
    """How many of these, from the first one on, can be imported here and are the same in each fork."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        clean = 0
        try:
            while clean < len(wanted) and _load(*wanted[clean], home):
                clean += 1
        finally:
            os._exit(clean)
    status = os.waitpid(pid, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0


def _load(module: str, name: str, home: str) -> bool:
    """Whether nothing came of it but the module or what it has by this name."""
    watch = _Watch()
    sys.meta_path.insert(0, watch)
    try:
        with warnings.catch_warnings(record=True) as warned:
            loaded = _module(module, home)
            # Airflow loads much only when it is asked for it by name; some names are modules.
            if loaded is not None and name and not hasattr(loaded, name):
                _module(f"{module}.{name}", home)
    except (Exception, SystemExit):
        return False
    finally:
        sys.meta_path.remove(watch)
    return not warned and not watch.missed


def _module(name: str, home: str) -> ModuleType | None:
    """The module, if it and all that are imported with it, its parents, are Airflow's own."""
    words = name.split(".")
    for end in range(1, len(words) + 1):
        part = ".".join(words[:end])
        found = importlib.util.find_spec(part)
        # A namespace has no code of its own.
        is_namespace = found is not None and found.origin is None and found.submodule_search_locations is not None
        if not is_namespace and not (found and found.origin and os.path.abspath(found.origin).startswith(f"{home}/")):
            return None
        importlib.import_module(part)
    return sys.modules[name]


class _Watch(MetaPathFinder):
    """Keeps out what only forks import, and notices where they would import something else."""

    def __init__(self) -> None:
        self._withheld = _paths.withheld()
        self._everything = _paths.everything()
        self.missed = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What there is without them; nothing where the other finders know."""
        if not self._withheld:
            return None
        if path is None:
            self._find(name, sys.path, self._everything)
            return None
        # They are not on sys.path, but may be on the path of a package.
        ours = [part for part in path if not self._is_withheld(part)]
        if len(ours) == len(path):
            return None
        found = self._find(name, ours, path)
        if found is None:
            raise ModuleNotFoundError(f"{name} is not the image's own", name=name)
        return found

    def _find(self, name: str, ours: Sequence[str], forks: Sequence[str]) -> ModuleSpec | None:
        here, there = (PathFinder.find_spec(name, list(path)) for path in (ours, forks))
        if (here and here.origin) != (there and there.origin) or (here is None) != (there is None):
            self.missed = True
        return here

    def _is_withheld(self, path: str) -> bool:
        real = os.path.realpath(path)
        return any(f"{real}/".startswith(f"{os.path.realpath(directory)}/") for directory in self._withheld)


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
