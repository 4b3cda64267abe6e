"""Warm parsers, as the real DAG processor of Airflow 3 uses them: what they share, what they do not, how they end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from airflow_3 import Airflow
from airflow_home import DEADLINE_SECONDS, until

CALL = """
from airflow.callbacks.callback_requests import DagCallbackRequest
from airflow.callbacks.database_callback_sink import DatabaseCallbackSink
DatabaseCallbackSink().send(DagCallbackRequest(
    filepath="calls.py", dag_id="calls", run_id="a_run", bundle_name="dags-folder", bundle_version=None, msg="failed"
))
"""


@pytest.fixture
def one_at_a_time(airflow: Airflow) -> Airflow:
    """A DAG processor that parses one file after the other, by their names."""
    airflow.environment |= {
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__FILE_PARSING_SORT_MODE": "alphabetical",
    }
    return airflow


@contextlib.contextmanager
def processor(airflow: Airflow) -> Iterator[subprocess.Popen[bytes]]:
    """A DAG processor that parses all files again and again."""
    airflow.environment |= {
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "0",
        "AIRFLOW__DAG_PROCESSOR__PRINT_STATS_INTERVAL": "0",
    }
    with airflow.component("dag-processor") as process:
        yield process


def add(airflow: Airflow, name: str, copy: str) -> None:
    """A file of tests/v3/dags under another name."""
    (airflow.dags / copy).write_text((Path(__file__).parent / "dags" / name).read_text())


def errors(airflow: Airflow) -> dict[str, str]:
    """Import errors by file."""
    return dict(airflow.ask("select filename, stacktrace from import_error"))


def ours(airflow: Airflow, *words: str) -> list[int]:
    """Processes of airtight and of its containers that belong to this Airflow."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (directory / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            mine = str(airflow.home).encode() in (directory / "environ").read_bytes()
            if mine and all(word in command for word in words) and ("airtight" in command):
                found.append(int(directory.name))
    return found


def container_of(airflow: Airflow, name: str) -> str | None:
    """The host name of the container that parsed a file last."""
    return airflow.looked().get(name, {}).get("container")


def test_files_share_a_container_and_see_nothing_of_each_other(one_at_a_time: Airflow) -> None:
    add(one_at_a_time, "looks.py", "one.py")
    add(one_at_a_time, "looks.py", "two.py")
    one_at_a_time.parse_all()
    found = one_at_a_time.looked()
    assert found["one"] == found["two"]
    seen = found["one"]["seen"]
    nothing = ("modules", "environment", "path", "arguments", "processes")
    assert {name: seen[name] for name in nothing} == {name: [] for name in nothing}
    assert seen["descriptors"][:4] == [0, 1, 2, 3]


def test_a_cold_file_is_parsed_in_a_container_of_its_own(one_at_a_time: Airflow) -> None:
    add(one_at_a_time, "looks.py", "one.py")
    add(one_at_a_time, "looks.py", "two.py")
    one_at_a_time.environment["AIRFLOW__DOCKER_RUNTIME__COLD_PARSING"] = "true"
    one_at_a_time.parse_all()
    found = one_at_a_time.looked()
    assert found["one"]["seen"] == found["two"]["seen"]
    assert found["one"]["container"] != found["two"]["container"]


def test_a_file_that_takes_too_long_is_killed_with_all_it_started_and_the_next_is_parsed(
    one_at_a_time: Airflow,
) -> None:
    one_at_a_time.environment["AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT"] = "20"
    one_at_a_time.environment["AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT"] = "0"
    add(one_at_a_time, "looks.py", "a.py")
    add(one_at_a_time, "hangs.py", "b.py")
    add(one_at_a_time, "looks.py", "c.py")
    one_at_a_time.parse_all()
    found = one_at_a_time.looked()
    assert found["a"] == found["c"]
    assert found["c"]["seen"]["processes"] == []


def test_a_file_that_eats_memory_is_an_import_error_of_that_file_alone(one_at_a_time: Airflow) -> None:
    one_at_a_time.environment["AIRFLOW__DOCKER_RUNTIME__MEMORY"] = "600m"
    one_at_a_time.environment["AIRFLOW__SCHEDULER_DAG_PARSING_DOCKER_RUNTIME__LIMIT_RESOURCE"] = "true"
    add(one_at_a_time, "looks.py", "a.py")
    add(one_at_a_time, "eats.py", "b.py")
    add(one_at_a_time, "looks.py", "c.py")
    one_at_a_time.parse_all()
    assert set(errors(one_at_a_time)) == {"b.py"}
    assert "killed by SIGKILL, as the kernel does where a container's memory limit" in errors(one_at_a_time)["b.py"]
    found = one_at_a_time.looked()
    assert found["a"] == found["c"]


def test_settings_that_change_count_for_the_next_parse(airflow: Airflow) -> None:
    airflow.add_dags("looks.py")
    with processor(airflow):
        until(lambda: container_of(airflow, "looks") is not None, airflow.logs)
        (airflow.dags / "looks.py.metadata.yaml").write_text("docker_runtime:\n  hostname: another\n")
        until(lambda: container_of(airflow, "looks") == "another", airflow.logs)


def test_another_image_under_the_same_name_counts_for_the_next_parse(airflow: Airflow, tmp_path: Path) -> None:
    airflow.add_dags("looks.py")
    other = with_label(Path(os.environ["AIRTIGHT_TEST_AIRFLOW_IMAGE"]), tmp_path / "other.tar")
    with processor(airflow):
        until(lambda: container_of(airflow, "looks") is not None, airflow.logs)
        first = container_of(airflow, "looks")
        subprocess.run(["airtight", "image", "import", other], check=True, stdout=subprocess.DEVNULL)
        until(lambda: container_of(airflow, "looks") != first, airflow.logs)
        # The old one has nothing left to do.
        until(lambda: len(ours(airflow, "--as-payload")) == 1, airflow.logs)


def with_label(archive: Path, other: Path) -> Path:
    """The same image with one label more, which is another digest."""
    with tarfile.open(archive) as read, tarfile.open(other, "w") as written:

        def load(name: str) -> dict:
            return json.load(read.extractfile(name))

        def store(content: object, name: str | None = None) -> dict:
            data = json.dumps(content).encode()
            digest = sha256(data).hexdigest()
            entry = tarfile.TarInfo(name or f"blobs/sha256/{digest}")
            entry.size = len(data)
            written.addfile(entry, BytesIO(data))
            return {"digest": f"sha256:{digest}", "size": len(data)}

        def blob(descriptor: dict) -> str:
            return f"blobs/{descriptor['digest'].replace(':', '/')}"

        index = load("index.json")
        manifest = load(blob(index["manifests"][0]))
        config = load(blob(manifest["config"]))
        config["config"].setdefault("Labels", {})["another"] = "image"
        manifest["config"] |= store(config)
        index["manifests"][0] |= store(manifest)
        for entry in read:
            if entry.name != "index.json":
                written.addfile(entry, read.extractfile(entry) if entry.isreg() else None)
        store(index, "index.json")
    return other


def test_a_keeper_that_dies_is_replaced(airflow: Airflow) -> None:
    airflow.add_dags("looks.py")
    with processor(airflow):
        until(lambda: container_of(airflow, "looks") is not None, airflow.logs)
        first = container_of(airflow, "looks")
        (keeper,) = ours(airflow, "parse", "--serve")
        os.kill(keeper, signal.SIGKILL)
        until(lambda: container_of(airflow, "looks") != first, airflow.logs)
        until(lambda: not errors(airflow), airflow.logs)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_runs_any_more_when_the_dag_processor_is_gone(airflow: Airflow, number: signal.Signals) -> None:
    add(airflow, "looks.py", "a.py")
    add(airflow, "hangs.py", "b.py")
    with processor(airflow) as process:
        until(lambda: container_of(airflow, "a") is not None, airflow.logs)
        assert ours(airflow, "parsers_v3.py")
        process.send_signal(number)
        process.wait(DEADLINE_SECONDS)
        until(lambda: not ours(airflow), airflow.logs)


def test_callbacks_of_a_dag_are_called_in_its_container(airflow: Airflow) -> None:
    airflow.add_dags("calls.py")
    with processor(airflow):
        until(lambda: airflow.ask("select dag_id from dag") == [("calls",)], airflow.logs)
        airflow.python(CALL)
        until(lambda: airflow.ask("select key from variable") == [("called",)], airflow.logs)
    assert "in a container for calls" in airflow.run("variables", "get", "called")


def test_what_a_container_says_is_in_the_log_of_the_dag_processor(airflow: Airflow) -> None:
    airflow.add_dags("looks.py")
    (airflow.home / "config").mkdir()
    (airflow.home / "config" / "airflow_local_settings.py").write_text(
        "import os\nif os.path.isdir('/opt/airtight_airflow'):\n    os.write(2, b'said inside\\n')\n"
    )
    with processor(airflow):
        until(lambda: container_of(airflow, "looks") is not None, airflow.logs)
    assert "said inside" in (airflow.home / "dag-processor.log").read_text()
