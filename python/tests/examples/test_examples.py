"""The example DAGs that come with Airflow are parsed in containers to what they are parsed to on the host."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import airflow_2
import airflow_3
import pytest
import services
from airflow_home import Airflow, need

version = airflow_2 if need("AIRTIGHT_TEST_AIRFLOW").startswith("2.") else airflow_3

# What a Python has of them, with a digest for each: the files are compared, not only their names.
FILES = """
import hashlib, importlib.util, json
from pathlib import Path
files = {}
for package in ("airflow.example_dags", "airflow.providers.standard.example_dags"):
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    for directory in spec.submodule_search_locations if spec else ():
        for path in Path(directory).glob("**/*.py"):
            files[f"{package}/{path.relative_to(directory)}"] = hashlib.sha256(path.read_bytes()).hexdigest()
print(json.dumps(files))
"""

# The newest of each DAG.
SERIALIZED = "select dag_id, data from serialized_dag order by last_updated"
ERRORS = "select filename, stacktrace from import_error"


@pytest.fixture
def host(tmp_path: Path, postgresql: services.Server, migrated_database: str) -> Airflow:
    """One with the examples and no other DAG, whose flags are off."""
    return with_examples(tmp_path / "host", services.make_database(postgresql, "host", migrated_database))


@pytest.fixture
def contained(tmp_path: Path, postgresql: services.Server, migrated_database: str, image: str) -> Airflow:
    """The same, and whatever it parses, it parses in containers."""
    airflow = with_examples(tmp_path / "contained", services.make_database(postgresql, "contained", migrated_database))
    return version.contained(airflow, image)


def with_examples(home: Path, database: str) -> Airflow:
    """One without other DAGs."""
    home.mkdir()
    airflow = version.plain(home, database, home)
    # What is the same for both, since it is written into every serialized DAG.
    dags = home.parent / "dags"
    dags.mkdir(exist_ok=True)
    if version is airflow_2:
        # As its DAG folder: the files that load_examples adds to another one would have a container each.
        (package,) = importlib.util.find_spec("airflow").submodule_search_locations
        dags = Path(package) / "example_dags"
    else:
        airflow.environment["AIRFLOW__CORE__LOAD_EXAMPLES"] = "True"
    airflow.environment["AIRFLOW__CORE__DAGS_FOLDER"] = str(dags)
    return airflow


def parsed(airflow: Airflow, programs: str) -> tuple[dict[str, object], dict[str, str]]:
    """DAG id -> serialized DAG, and file -> the last line of its import error, after parsing everything.

    An example says which Python of the directory `programs` runs it, another has fields in the order of a set, and
    Airflow 2 writes addresses of objects: no two processes share these.
    """

    def comparable(dag: dict) -> dict:
        return dag | {"template_fields": sorted(dag["template_fields"])} if "template_fields" in dag else dag

    airflow.parse_all()
    dags = {}
    for dag_id, data in airflow.ask(SERIALIZED):
        text = json.dumps(data) if isinstance(data, dict) else data
        text = re.sub(f'"{re.escape(programs)}/python[0-9.]*"', '"PYTHON"', text)
        text = re.sub(" object at 0x[0-9a-f]+>", " object>", text)
        dags[dag_id] = json.loads(text, object_hook=comparable)
    return dags, {name: trace.strip().splitlines()[-1] for name, trace in airflow.ask(ERRORS)}


def test_examples_are_parsed_to_the_same_serialized_dags_and_import_errors_as_on_the_host(
    host: Airflow, contained: Airflow, image: str
) -> None:
    words = ["airtight", "run", image, "python3", "-c", FILES]
    inside = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
    files = json.loads(host.python(FILES))
    assert inside == files

    dags, errors = parsed(host, os.path.dirname(sys.executable))
    assert len(dags) > len(files) / 2
    dags_inside, errors_inside = parsed(contained, "/opt/venv/bin")
    assert errors_inside == errors
    assert set(dags_inside) == set(dags)
    different = list(differences(dags, dags_inside))
    assert not different, "\n".join(different)


def differences(host: object, inside: object, place: str = "") -> Iterator[str]:
    """Where two values of JSON differ."""
    if isinstance(host, dict) and isinstance(inside, dict) and host.keys() == inside.keys():
        for key in host:
            yield from differences(host[key], inside[key], f"{place}.{key}")
    elif isinstance(host, list) and isinstance(inside, list) and len(host) == len(inside):
        for number, (one, other) in enumerate(zip(host, inside)):
            yield from differences(one, other, f"{place}[{number}]")
    elif host != inside:
        yield f"{place}: {host!r} on the host, {inside!r} in a container"
