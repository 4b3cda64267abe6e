"""AirtightOperator fetches images as DockerOperator does, from a real registry with TLS and a password."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from operator_support import PATHS, Log, airtight, in_thread
from registry_support import PASSWORD, USER, Line, registry

from airtight_airflow._airflow import AirflowException
from airtight_airflow.operators import AirtightOperator

# Longer than anything here takes: who waits that long has lost.
PATIENCE = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(autouse=True)
def worker(monkeypatch, tmp_path, server):
    """A worker that trusts the registry's authority, knows a connection to it, and has no files with passwords."""
    monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_OURS", server.connection())


@pytest.fixture
def pushed(server, request):
    """Pushes an image under a name that no other test has, and removes it from this host at the end."""
    pulled = []

    def push(archive="busybox"):
        name = request.node.name.partition("[")[0]
        pulled.append(server.push(archive, f"team/{name}:1"))
        return pulled[-1]

    yield push
    for image in dict.fromkeys(pulled):
        if here(image):
            airtight("image", "rm", image)


@pytest.fixture
def log(monkeypatch):
    log = Log()
    monkeypatch.setattr(AirtightOperator, "log", log)
    return log


@pytest.fixture
def line(server, monkeypatch):
    """A way to the registry on which a layer never comes to its end."""
    line = Line(server.port)
    monkeypatch.setenv("AIRFLOW_CONN_SLOW", server.connection(port=line.port))
    yield line
    line.close()


@pytest.fixture
def endless(server, line):
    """The name of an image that comes by this way."""
    return server.push_new("team/endless:1").replace(server.name, f"localhost:{line.port}")


def task(image, command="echo hello", **parameters):
    return AirtightOperator(task_id="t", image=image, command=command, **parameters)


def here(image):
    """Its id on this host, if it is here."""
    return airtight("image", "ls", "-q", image)


def test_a_missing_image_is_pulled_with_the_credentials_of_a_connection(pushed, log):
    image = pushed()
    assert task(image, docker_conn_id="ours").execute({}) == "hello"
    assert f"Pulling image {image} with the connection 'ours' for localhost:" in log.text
    assert f"airtight: {image}: layer" in log.text
    assert here(image)


@pytest.mark.parametrize("scheme", ["https://localhost", "http://localhost/v1/"])
def test_a_connection_may_name_its_registry_as_docker_s_clients_do(pushed, server, monkeypatch, scheme):
    monkeypatch.setenv("AIRFLOW_CONN_SPELT", server.connection(host=scheme, extra={"reauth": "no", "email": "a@b"}))
    assert task(pushed(), docker_conn_id="spelt").execute({}) == "hello"


def test_a_connection_may_be_a_uri_in_which_everything_is_encoded(pushed, server, monkeypatch):
    uri = f"docker://{USER}:{PASSWORD.replace('-', '%2D')}@https%3A%2F%2Flocalhost%3A{server.port}%2Fv2%2F?reauth=True"
    monkeypatch.setenv("AIRFLOW_CONN_URI", uri)
    assert task(pushed(), docker_conn_id="uri").execute({}) == "hello"


def test_without_a_connection_the_worker_s_own_file_counts(pushed, server, tmp_path):
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {server.name: {"auth": auth}}}))
    assert task(pushed()).execute({}) == "hello"


def test_a_wrong_password_is_an_exception_that_names_registry_and_connection(pushed, server, monkeypatch, log):
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", server.connection("wr0ng-passw0rd"))
    image = pushed()
    with pytest.raises(AirflowException) as caught:
        task(image, docker_conn_id="wrong").execute({})
    said = str(caught.value)
    assert f"The image {image} was not pulled with the connection 'wrong' for {server.name}: cannot pull" in said
    assert "401 Unauthorized" in said
    assert "does not take the credentials of the connection 'wrong'" in said
    assert "/dev/fd" not in said + log.text
    assert "wr0ng" not in said + log.text
    assert not here(image)


def test_a_password_is_looked_up_at_the_moment_of_the_pull(pushed, server, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_EXPIRING", server.connection("expired"))
    operator = task(pushed(), docker_conn_id="expiring")
    with pytest.raises(AirflowException, match="401"):
        operator.execute({})
    monkeypatch.setenv("AIRFLOW_CONN_EXPIRING", server.connection())
    assert operator.execute({}) == "hello"


def test_no_credentials_and_an_unknown_tag_say_so(pushed, server):
    image = pushed()
    with pytest.raises(AirflowException, match=f"was not pulled: .*no credentials for {server.name} were found"):
        task(image).execute({})
    with pytest.raises(AirflowException, match="has no tag nosuch"):
        task(image.removesuffix("1") + "nosuch", docker_conn_id="ours").execute({})


def test_a_connection_that_is_unknown_or_incomplete_is_named(pushed, server, monkeypatch):
    image = pushed()
    monkeypatch.setenv("AIRFLOW_CONN_NOBODY", server.connection(login=""))
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", server.connection(host=""))
    for conn_id, why in [
        ("nosuch", "nosuch.* isn't defined"),
        ("nobody", "'nobody' names no user"),
        ("nowhere", "host"),
    ]:
        with pytest.raises(AirflowException, match=why):
            task(image, docker_conn_id=conn_id).execute({})


def test_an_image_that_is_here_is_not_pulled_and_no_connection_is_looked_up():
    archive = f"{os.environ['AIRTIGHT_TEST_IMAGES']}/busybox.tar"
    airtight("image", "import", "--tag", "localhost:1/here:1", archive)
    assert task("localhost:1/here:1", docker_conn_id="nosuch").execute({}) == "hello"


def test_an_image_that_is_here_and_cannot_be_pulled_fails_with_force_pull():
    archive = f"{os.environ['AIRTIGHT_TEST_IMAGES']}/busybox.tar"
    airtight("image", "import", "--tag", "localhost:1/here:1", archive)
    with pytest.raises(AirflowException, match=r"was not pulled: .*Connection refused"):
        task("localhost:1/here:1", force_pull=True).execute({})


def test_force_pull_takes_what_a_tag_means_now(pushed):
    script = ["sh", "-c", "command -v python3 || echo none"]
    image = pushed()

    def run(**given):
        return task(image, script, docker_conn_id="ours", **given).execute({})

    assert run() == "none"
    pushed("python")
    assert run() == "none"
    assert run(force_pull=True).endswith("python3")
    assert run().endswith("python3")


def test_no_password_is_on_a_command_line_or_in_an_environment_while_pulling(endless, line, log):
    operator = task(endless, docker_conn_id="slow")
    thread, _ = in_thread(operator)
    assert line.stands_still.wait(PATIENCE)
    seen = {}
    for path in [*Path("/proc").glob("[0-9]*/cmdline"), *Path("/proc").glob("[0-9]*/environ")]:
        try:
            seen[path] = path.read_bytes()
        except OSError:
            continue
    operator.on_kill()
    thread.join()
    assert [text for path, text in seen.items() if path.name == "cmdline" and b"--registry-config=/dev/fd/" in text]
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode())
    assert [path for path, text in seen.items() if PASSWORD.encode() in text or pair in text] == []
    assert PASSWORD not in log.text and pair.decode() not in log.text


def test_on_kill_ends_a_pull_and_nothing_is_run_or_left(endless, line, log):
    operator = task(endless, docker_conn_id="slow")
    thread, raised = in_thread(operator)
    assert line.stands_still.wait(PATIENCE)
    operator.on_kill()
    thread.join()
    assert "was not pulled" in str(raised[0]) and "stopped on request" in str(raised[0])
    assert "Starting a container" not in log.text
    assert not here(endless)


def test_on_kill_before_a_pull_has_begun_is_not_forgotten(endless):
    operator = task(endless, docker_conn_id="slow")
    operator.on_kill()
    with pytest.raises(AirflowException, match="stopped on request"):
        operator.execute({})
    assert not here(endless)


def test_a_killed_worker_takes_its_pull_with_it(endless, line):
    code = (
        "import operator_support\nfrom airtight_airflow.operators import AirtightOperator\n"
        f"AirtightOperator(task_id='t', image={endless!r}, docker_conn_id='slow').execute({{}})\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*PATHS, str(Path(__file__).parent)])}
    worker = subprocess.Popen([sys.executable, "-c", code], env=environment)
    assert line.stands_still.wait(PATIENCE)
    worker.kill()
    worker.wait()
    assert line.is_left.wait(PATIENCE)
