"""Which Airflow an image has: what is asked, and which answers count."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from airtight_airflow import _command, _image_airflow

# An airtight: plans image `team/image` with digest sha256:planned; a run prints $SAYS and has the image sha256:ran.
AIRTIGHT = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in *--dry-run*)
    echo '{"plan": {"image": {"name": "team/image", "digest": "sha256:planned"},'
    echo ' "namespaces": {"network": "host"}, "stop": {"timeout": {"secs": 10, "nanos": 0}}}}'
    exit ;;
esac
verdict=${*##*--verdict=}
echo '{"image_digest": "sha256:ran"}' > "${verdict%% *}"
printf "$SAYS"
"""


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An AIRFLOW_HOME, and an airtight whose image says 3.2.2."""
    program = tmp_path / "airtight"
    program.write_text(AIRTIGHT)
    program.chmod(0o755)
    monkeypatch.setenv("AIRTIGHT_BIN", str(program))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("SAYS", "3.2.2\\n")
    monkeypatch.setitem(sys.modules, "airflow.settings", SimpleNamespace(AIRFLOW_HOME=str(tmp_path)))
    return tmp_path


def look() -> _image_airflow.Image:
    """At the image of a DAG file, for which there is a bundle and a variable."""
    program = _image_airflow.PROGRAM
    run = _command.Run("task-execution", "/dags/a.py", program, read_only=["/dags"], variables=["OF_THE_FILE"])
    return _image_airflow.look(run, os.environ)


def probes(home: Path) -> list[str]:
    """The command lines of the containers that were started."""
    return [line for line in (home / "calls").read_text().splitlines() if "--dry-run" not in line]


def kept(home: Path) -> dict[str, str]:
    """The answers that will count later, by digest."""
    return {path.name: path.read_text() for path in (home / ".airtight/airflow-of-image").glob("*")}


def keep(home: Path, version: str) -> None:
    """As if the planned image had said so once."""
    folder = home / ".airtight/airflow-of-image"
    folder.mkdir(parents=True)
    (folder / "sha256-planned").write_text(version)


def test_of_a_dag_file_nothing_but_its_image_gets_into_the_container_that_is_asked(home: Path) -> None:
    assert look() == _image_airflow.Image(airflow="3.2.2", network="host", stop_seconds=10)
    (probe,) = probes(home)
    assert "--image=team/image --network=none --read-only" in probe
    assert not [word for word in ("--dag-file", "/dags", "OF_THE_FILE") if word in probe]


def test_an_answer_is_kept_for_the_image_that_gave_it(home: Path) -> None:
    look()
    assert kept(home) == {"sha256-ran": "3.2.2"}


def test_an_image_whose_answer_is_kept_is_not_asked(home: Path) -> None:
    keep(home, "3.1.8")
    assert look().airflow == "3.1.8"
    assert probes(home) == []


def test_an_answer_that_is_no_known_version_is_not_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAYS", "9.9.9")
    assert look().airflow == "9.9.9"
    assert kept(home) == {}


def test_a_kept_answer_that_is_no_known_version_does_not_count(home: Path) -> None:
    keep(home, "9.9.9")
    assert look().airflow == "3.2.2"


def test_an_image_that_says_more_than_a_version_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAYS", "3.2.2" * 100)
    with pytest.raises(_image_airflow.ImageError, match=r"image of /dags/a\.py .* more than 200 bytes"):
        look()
    assert kept(home) == {}
