"""Parses DAG files for a person at a shell, a fork for each: `parse_files.py SOCKET [CODE_DIRECTORY…]`.

In: jobs `{"file": …, "bundle": …}` (see _forks.py), each with standard input, output and error and, as 3, a pipe for
its result. Out: on 3 one JSON object: the DAGs as the image's own Airflow (2.10 to 3.3) serializes them, import errors,
warnings, the time it took. There is no supervisor and no database: `Variable.get` while a file is parsed finds what is
in the environment (AIRFLOW_VAR_…) and nothing else. Must never run anything of a file outside of its fork.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from typing import Any

import _ahead
import _forks
import _paths
import _prepare

RESULT = 3


def main() -> None:
    """Serves until the keeper goes."""
    _paths.start_again()
    channel, code_directories = int(sys.argv[1]), sys.argv[2:]
    # What DAG files see is this program's.
    del sys.argv[1:]
    _forks.serve(channel, lambda: load(code_directories))


def load(code_directories: list[str]) -> _forks.Parser:
    """Imports the image's Airflow."""
    _paths.begin([])
    _prepare.prepare(code_directories)

    import airflow

    try:
        from airflow.serialization.serialized_objects import DagSerialization
    except ImportError:
        from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization
    bag_of = _find_bag()

    def run(job: dict[str, Any]) -> int:
        began = time.monotonic()
        _paths.give_back()
        # What a file printed last is shown where its process is killed.
        sys.stdout.reconfigure(line_buffering=True)
        bag = bag_of(job["file"], job["bundle"])
        errors = dict(bag.import_errors)
        dags = []
        for dag in bag.dags.values():
            try:
                serialized = DagSerialization.to_dict(dag)
                json.dumps(serialized)
            except Exception:
                errors[dag.fileloc] = traceback.format_exc()
            else:
                dags.append({"dag_id": dag.dag_id, "tasks": len(dag.task_dict), "serialized": serialized})
        result = {
            "airflow": airflow.__version__,
            "dags": dags,
            "import_errors": list(errors.values()),
            "warnings": _warnings(bag, job["file"]),
            "seconds": time.monotonic() - began,
        }
        with os.fdopen(RESULT, "w") as file:
            json.dump(result, file)
        return 0

    _paths.loaded()
    return _forks.Parser(run, lambda job: _ahead.import_ahead(job["file"]))


def _find_bag() -> Any:
    """What makes a DagBag of a file in its bundle."""
    try:
        from airflow.dag_processing.dagbag import BundleDagBag
    except ImportError:
        try:
            from airflow.models.dagbag import BundleDagBag
        except ImportError:
            return _plain_bag
    return lambda file, bundle: BundleDagBag(file, bundle_path=bundle, safe_mode=False, load_op_links=False)


def _plain_bag(file: str, bundle: str) -> Any:
    """Airflow 2, and 3.0, where the processor itself makes modules of the bundle known."""
    from airflow.models.dagbag import DagBag

    if bundle not in sys.path:
        sys.path.append(bundle)
    return DagBag(file, include_examples=False, safe_mode=False, load_op_links=False)


def _warnings(bag: Any, file: str) -> list[str]:
    found = [line for lines in getattr(bag, "captured_warnings", {}).values() for line in lines]
    try:
        from airflow.utils.dag_version_inflation_checker import check_dag_file_stability
    except ImportError:
        return found
    unstable = check_dag_file_stability(file).format_warnings()
    return [*found, unstable] if unstable else found


if __name__ == "__main__":
    main()
