"""AirtightOperator has DockerOperator's parameters, and says before anything starts what it cannot do.

No containerd is needed: what these tests look at happens before airtight is called.
"""

from __future__ import annotations

import inspect

import operator_support
import pytest
from airflow.providers.docker.operators.docker import DockerOperator
from docker.types import Mount, Ulimit

from airtight_airflow import _dotenv, _translate
from airtight_airflow._airflow import AirflowException
from airtight_airflow._translate import Refused
from airtight_airflow.operators import AirtightOperator


@pytest.fixture(autouse=True)
def never_started(monkeypatch):
    monkeypatch.setenv("AIRTIGHT_BIN", "/nowhere/airtight")


def parameters(operator):
    found = inspect.signature(operator.__init__).parameters.values()
    return {parameter.name: (parameter.kind, parameter.default) for parameter in found}


def task(**given):
    return AirtightOperator(task_id="t", image="busybox:test", **given)


def test_every_parameter_of_docker_operator_is_here_with_the_same_default():
    assert parameters(AirtightOperator) == parameters(DockerOperator)


def test_the_same_fields_are_templated():
    assert tuple(AirtightOperator.template_fields) == tuple(DockerOperator.template_fields)
    assert tuple(AirtightOperator.template_ext) == tuple(DockerOperator.template_ext)
    assert AirtightOperator.template_fields_renderers == DockerOperator.template_fields_renderers


def test_private_variables_are_in_no_public_attribute():
    public = {name: value for name, value in vars(task(private_environment={"A": "s3cr3t"})).items() if name[0] != "_"}
    assert "s3cr3t" not in str(public)


@pytest.mark.parametrize(
    "given, why",
    [
        ({"port_bindings": {80: 8080}}, "publishes no ports"),
        ({"device_requests": [object()]}, "device_requests"),
        ({"network_mode": "bridge"}, "network_mode='bridge': this version of airtight has two networks"),
        ({"network_mode": "container:x"}, "two networks"),
        ({"ipc_mode": "container:x"}, "ipc_mode"),
        ({"mounts": [Mount("/data", "volume-name")]}, "no named volumes, such as 'volume-name'"),
        ({"mounts": [{"target": "/data", "source": "v"}]}, "no named volumes"),
        ({"mounts": [Mount("/data", "p", type="npipe")]}, "'npipe'"),
        ({"mounts": ["/a:/b"]}, "neither a docker.types.Mount nor a dict"),
        ({"mounts": [{"type": "bind", "source": "/a"}]}, "has no target"),
        ({"retrieve_output": True}, "needs retrieve_output_path"),
        ({"extra_hosts": {"h": "host-gateway"}}, "extra_hosts: h:host-gateway"),
        ({"ulimits": [{"soft": 1}]}, "needs a name"),
        ({"command": "echo 'a"}, "cannot be split"),
        ({"command": "[echo"}, "no Python list"),
        ({"environment": {"A=": "1"}}, "'A=' cannot be the name of a variable"),
        ({"private_environment": {"A": "s3cr3t\0"}}, "variable A has a NUL"),
        ({"environment": {"LD_PRELOAD": "a\nb"}}, "LD_PRELOAD must have a value of one line"),
        ({}, "airtight cannot be started: .*/nowhere/airtight"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(given, why):
    with pytest.raises(AirflowException, match=why) as caught:
        task(**given).execute({})
    assert "s3cr3t" not in str(caught.value)


def test_what_docker_operator_refuses_when_a_dag_is_read_is_refused_then():
    for operator in (AirtightOperator, DockerOperator):
        with pytest.raises(ValueError, match="auto_remove"):
            operator(task_id="t", image="i", auto_remove="sometimes")
        with pytest.raises(ValueError, match="host"):
            operator(task_id="t", image="i", port_bindings={80: 80}, network_mode="host")


def test_what_only_concerns_a_docker_client_is_said_to_be_unused(monkeypatch):
    log = operator_support.Log()
    monkeypatch.setattr(AirtightOperator, "log", log)
    given = {
        "docker_url": "tcp://h",
        "tls_verify": False,
        "timeout": 5,
        "log_opts_max_size": "1m",
    }
    with pytest.raises(AirflowException):
        task(**given).execute({})
    assert "no Docker client is involved: docker_url, timeout, tls_verify" in log.text
    assert "log_opts_max_size" in log.text


def test_mounts_of_docker_s_types_and_dicts_are_the_same():
    for given, flag in [
        (Mount("/d", "/s", type="bind", read_only=True), "type=bind,source=/s,target=/d,readonly"),
        ({"target": "/d", "source": "/s", "type": "bind", "read_only": True}, "type=bind,source=/s,target=/d,readonly"),
        (Mount("/d", "/s", "bind", propagation="rslave"), "type=bind,source=/s,target=/d,bind-propagation=rslave"),
        (Mount("/d", None), "type=volume,target=/d"),
        (Mount("/d", None, "tmpfs", tmpfs_size="1m", tmpfs_mode=0o1777), None),
        ({"target": "/d", "type": "tmpfs", "tmpfs_size": 1048576, "tmpfs_mode": 0o1777}, None),
        ({"target": "/d", "source": '/a,"b', "type": "bind"}, 'type=bind,"source=/a,""b",target=/d'),
    ]:
        assert _translate.mount(given) == "--mount=" + (
            flag or "type=tmpfs,target=/d,tmpfs-size=1048576,tmpfs-mode=1777"
        )


def test_ulimits_of_docker_s_type_and_dicts_are_the_same():
    given = [Ulimit(name="nofile", soft=1, hard=2), {"name": "core", "soft": 0}, {"Name": "nproc", "Hard": 7}]
    assert _translate.ulimits(given) == ["--ulimit=nofile=1:2", "--ulimit=core=0:0", "--ulimit=nproc=7:7"]


def test_cpus_are_a_weight_and_numbers_are_bytes():
    assert [_translate.cpu_shares(cpus) for cpus in (1, 0.5, 0, 0.0001, 1000)] == [
        *("--cpu-shares=1024", "--cpu-shares=512", "--cpu-shares=0", "--cpu-shares=0", "--cpu-shares=262144")
    ]
    assert _translate.memory(1e9) == ["--memory=1000000000"]
    assert _translate.memory("1g") == ["--memory=1g"]


def test_an_env_file_is_read_as_docker_operator_reads_it(monkeypatch):
    monkeypatch.setenv("OUTSIDE", "o")
    text = """# comment
A=1
export B = "x \\n y ${A}"  # comment
C='it\\'s ${OUTSIDE}'
D
E=a b # comment
F= # none
G=#x
H=${NONE:-default}${NONE}
no variable at all
I="two
lines"
'J K'=3
L="never closed
M=\\n
"""
    found, strange = _dotenv.read(text, {"OUTSIDE": "o"})
    assert found == DockerOperator.unpack_environment_variables(text)
    assert found["C"] == "it's o" and found["I"] == "two\nlines"
    assert strange == [10, 14]


def test_refusals_are_a_kind_of_their_own():
    with pytest.raises(Refused):
        _translate.network("my-network")
