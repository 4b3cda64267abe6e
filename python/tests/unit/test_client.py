"""The client of the keeper: what it asks for, what it makes of an end, and how it takes a keeper's death.

The keeper here is a stand-in that does what a file's job says, with the descriptors that came with it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airtight_airflow import _parsers

KEEPER = f"""#!{sys.executable}
import array, json, os, socket, sys
client = socket.socket(fileno=int(sys.argv[sys.argv.index("--serve") + 1]))
while True:
    data, ancillary, *_ = client.recvmsg(1 << 17, 4096)
    if not data:
        break
    numbers = array.array("i", ancillary[0][2])
    control = socket.socket(fileno=numbers[0])
    order = json.loads(data)
    if "write" in order["job"]:
        os.write(numbers[1], os.environ.get(order["job"]["write"], "nothing").encode())
    if "die" in order["job"]:
        os._exit(1)
    control.send(json.dumps(order["job"]["answer"]).encode())
    for number in numbers[1:]:
        os.close(number)
    control.close()
"""


@pytest.fixture(autouse=True)
def airtight(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A stand-in for the program, and no keeper yet."""
    program = tmp_path / "airtight"
    program.write_text(KEEPER)
    program.chmod(0o755)
    monkeypatch.setenv("AIRTIGHT_BIN", str(program))
    monkeypatch.setattr(_parsers, "_keeper", None)
    yield
    if _parsers._keeper is not None:
        _parsers._keeper.close()


def keeper(**environment: str) -> _parsers.Keeper:
    """The keeper of this process."""
    return _parsers.keeper(lambda: {"PATH": os.environ["PATH"], **environment})


def parse(descriptors: list[int] = (), **job: object) -> _parsers.End:
    """One file to its end."""
    order = _parsers.Order(file="/dags/a.py", program="parsers_v3.py", job=job)
    return _parsers.Parse(keeper(), order.packet(), descriptors).wait()


def test_an_order_names_the_program_where_it_is_in_the_container() -> None:
    order = _parsers.Order(
        file="/dags/a.py", program="parsers_v3.py", arguments=["3.3"], read_only=["/dags"], job={"cpu_seconds": 5}
    )
    packet = json.loads(order.packet())
    assert packet["program"] == "/opt/airtight_airflow/parsers_v3.py"
    assert packet["job"] == {"file": "/dags/a.py", "cpu_seconds": 5}
    assert packet["mounts"][0].endswith("/inside,target=/opt/airtight_airflow,readonly")
    assert packet["mounts"][1] == "type=bind,source=/dags,target=/dags,readonly"


@pytest.mark.parametrize(
    ("answer", "explanation"),
    [
        ({"code": 0}, None),
        ({"code": 3}, "ended with exit code 3;"),
        ({"signal": 11}, "was killed by SIGSEGV;"),
        ({"signal": 9}, "was killed by SIGKILL, as the kernel does where a container's memory limit is reached;"),
        ({"failed": "no image", "hint": ""}, "this file was not parsed: no image"),
        ({"lost": "the container ended"}, "this file was not parsed: the container ended"),
        ({"failed": "no image", "hint": "import it"}, "this file was not parsed: no image\nHint: import it"),
    ],
)
def test_an_end_is_explained_to_the_author_of_a_file(answer: dict, explanation: str | None) -> None:
    explained = parse(answer=answer).explain()
    assert explained == explanation if explanation is None else explanation in explained


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"code": 3}, 3 << 8),
        ({"signal": signal.SIGKILL}, signal.SIGKILL),
        ({"signal": signal.SIGSEGV}, signal.SIGSEGV),
        ({"signal": signal.SIGTERM}, signal.SIGTERM),
        ({"failed": "no image", "hint": ""}, 121 << 8),
        ({"lost": "the container ended"}, 122 << 8),
    ],
)
def test_a_process_ends_as_the_one_in_the_container_ended(answer: dict, status: int) -> None:
    ending = parse(answer=answer)
    child = os.fork()
    if child == 0:
        # As in the DAG processor, which has handlers of its own.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ending.end_alike()
    assert os.waitpid(child, 0)[1] == status


def test_a_keeper_gets_the_descriptors_and_the_environment_that_it_is_given() -> None:
    ours, theirs = os.pipe()
    keeper(COLOUR="green")
    parse([theirs], write="COLOUR", answer={"code": 0})
    assert os.read(ours, 100) == b"green"
    parse([theirs], write="HOME", answer={"code": 0})
    assert os.read(ours, 100) == b"nothing"
    os.close(ours)
    os.close(theirs)


def test_one_keeper_serves_until_it_dies_and_then_another_does() -> None:
    first = keeper()
    assert keeper() is first
    ending = parse(die=True)
    assert "keeper of parsers" in ending.explain()
    first._process.wait()
    assert parse(answer={"code": 0}).code == 0
    assert keeper() is not first


def test_a_file_whose_keeper_is_dead_already_is_told_so() -> None:
    dead = keeper()
    dead._process.kill()
    dead._process.wait()
    order = _parsers.Order(file="/dags/a.py", program="parsers_v3.py")
    assert "keeper of parsers" in _parsers.Parse(dead, order.packet(), []).wait().explain()


def test_nobody_waits_long_for_a_keeper_that_takes_nothing() -> None:
    stuck = keeper()
    os.kill(stuck.pid, signal.SIGSTOP)
    try:
        order = _parsers.Order(file="/dags/a.py", program="parsers_v3.py", variables={"A": "x" * 100_000})
        # Until no more of them are buffered.
        *_, last = (_parsers.Parse(stuck, order.packet(), []) for _ in range(10))
        assert "takes no more files" in last.wait().explain()
    finally:
        stuck._process.kill()
