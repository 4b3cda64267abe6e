"""Where a program that forks for DAG files imports from, and where only its forks do.

In: what PYTHONPATH says, and the directories in which authors write their files. Out: a `sys.path` on which nothing of
authors' is while the program imports Airflow, and nothing of PYTHONPATH's afterwards; `give_back` makes it in a fork
what Airflow would have made of it. But for what of it is in a directory of authors', PYTHONPATH is the operator's, and
may lead to cluster policies and other classes that Airflow imports. Must be used before Airflow is imported.
"""

from __future__ import annotations

import os
import sys

# Where PYTHONPATH is kept from a Python that starts.
_KEPT = "AIRTIGHT_PYTHONPATH"

# Directories of authors', as they are without symbolic links.
_authors: list[str] = []
# What PYTHONPATH says.
_named: list[str] = []
# What Airflow added, and the program does without.
_refused: list[str] = []


class _Path(list):
    """Takes none of authors' directories: Airflow 2 appends the DAGs folder, and goes on to import."""

    def append(self, path: str) -> None:
        """What Airflow calls to add a directory."""
        if _is_of_authors(path):
            _refused.append(path)
        else:
            super().append(path)


def start_again() -> None:
    """Where this is `python3 -ES`: without these options, and with PYTHONPATH out of Python's sight.

    In one of its directories may be a `sitecustomize.py`, which would be executed before anything of ours.
    """
    if sys.flags.no_site:
        if "PYTHONPATH" in os.environ:
            os.environ[_KEPT] = os.environ.pop("PYTHONPATH")
        os.execv(sys.executable, [sys.executable, *sys.argv])


def begin(authors: list[str]) -> None:
    """Before Airflow is imported: only directories of the image's and of the operator's."""
    if _KEPT in os.environ:
        os.environ["PYTHONPATH"] = os.environ.pop(_KEPT)
    folder = os.environ.get("AIRFLOW__CORE__DAGS_FOLDER")
    _authors[:] = [os.path.realpath(path) for path in [*authors, folder] if path]
    named = os.environ.get("PYTHONPATH")
    _named[:] = dict.fromkeys(os.path.abspath(path) for path in named.split(os.pathsep)) if named else []
    others = [path for path in sys.path if path not in _named]
    sys.path = _Path([*(path for path in _named if not _is_of_authors(path)), *others])


def loaded() -> None:
    """Once Airflow is imported: nothing of PYTHONPATH's any more, unless Airflow itself came from there."""
    away = withheld()
    sys.path = _Path(path for path in sys.path if path not in away)


def withheld() -> list[str]:
    """The directories from which only forks import."""
    import airflow

    home = os.path.dirname(os.path.abspath(next(iter(airflow.__path__))))
    return [path for path in [*_named, *_refused, *_authors] if path != home]


def everything() -> list[str]:
    """From where a fork imports: `sys.path`, and what its DAG file's bundle adds."""
    return list(dict.fromkeys([*_named, *sys.path, *_refused, *_authors]))


def give_back() -> None:
    """In a fork: what PYTHONPATH says and what Airflow added, where Airflow would have it."""
    sys.path = list(dict.fromkeys([*_named, *sys.path, *_refused]))


def _is_of_authors(path: str) -> bool:
    # Only Airflow itself knows what its configuration file says.
    folder = getattr(sys.modules.get("airflow.settings"), "DAGS_FOLDER", None)
    roots = [*_authors, *([os.path.realpath(folder)] if folder else [])]
    real = os.path.realpath(path)
    return any(real == root or real.startswith(f"{root}/") for root in roots)
