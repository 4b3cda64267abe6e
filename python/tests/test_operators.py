"""AirtightOperator with a real Airflow, a real airtight and a real containerd.

`make test-airflow` runs it, and scripts/test-airflow says what it needs.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import operator_support
import pytest
from operator_support import PATHS, Log, airtight, containers

from airtight_airflow._airflow import AirflowException, AirflowSkipException
from airtight_airflow.operators import AirtightOperator

BUSYBOX, PYTHON = "busybox:test", "python:test"


@pytest.fixture(scope="session", autouse=True)
def images():
    for name in ("busybox", "python"):
        airtight("image", "import", f"{os.environ['AIRTIGHT_TEST_IMAGES']}/{name}.tar")


def task(command=None, image=BUSYBOX, **parameters):
    return AirtightOperator(task_id="t", image=image, command=command, **parameters)


def sh(script, **parameters):
    return task(["sh", "-c", script], **parameters)


@pytest.fixture
def log(monkeypatch):
    """What operators log."""
    log = Log()
    monkeypatch.setattr(AirtightOperator, "log", log)
    return log


@pytest.fixture
def fifo(tmp_path):
    """A FIFO in a directory that a task can mount: who opens it waits for the other side."""
    path = tmp_path / "sync" / "fifo"
    path.parent.mkdir()
    os.mkfifo(path)
    return path


def at(path: Path, target: str):
    return {"type": "bind", "source": str(path), "target": target}


def in_thread(operator, fifo):
    """Runs the operator elsewhere; at the end, nobody waits at the FIFO any more."""
    return operator_support.in_thread(operator, lambda: os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK)))


def test_the_last_line_is_the_xcom():
    assert sh("echo one; echo two >&2").execute({}) == "two"


def test_all_lines_are_the_xcom_with_xcom_all():
    assert sh("echo one; echo two >&2; echo three", xcom_all=True).execute({}) == ["one", "two", "three"]


def test_there_is_no_xcom_without_output_or_where_nobody_wants_it():
    assert sh("true").execute({}) is None
    assert sh("echo one", do_xcom_push=False).execute({}) is None


def test_stdout_and_stderr_are_in_the_log_in_their_order(log):
    sh("echo a; echo b >&2; echo c; printf d").execute({})
    assert "a\nb\nc\nd" in log.text


def test_output_that_is_not_utf_8_is_shown():
    assert sh(r"printf 'a\377b'").execute({}) == "a\ufffdb"


def test_a_failing_command_fails_the_task_with_its_exit_code_and_last_lines():
    with pytest.raises(AirflowException, match="exit code 3") as caught:
        sh("echo why; exit 3").execute({})
    assert caught.value.logs == ["why"]


def test_a_killed_command_names_its_signal():
    with pytest.raises(AirflowException, match="SIGSEGV"):
        sh("kill -SEGV $$").execute({})


def test_a_task_killed_for_memory_says_so_and_names_the_limit():
    with pytest.raises(AirflowException, match=r"for memory .*mem_limit is 8m"):
        sh("exec tail /dev/zero", mem_limit="8m").execute({})


def test_a_missing_image_and_a_missing_command_say_so():
    with pytest.raises(AirflowException, match=r"image localhost:1/nope:1 was not pulled: .*Connection refused"):
        task("true", image="localhost:1/nope:1").execute({})
    with pytest.raises(AirflowException, match=r"not started: .*no-such-command"):
        task("no-such-command", skip_on_exit_code=127).execute({})


@pytest.mark.parametrize("codes", [99, [98, 99], range(90, 100)])
def test_an_exit_code_to_skip_on_skips_the_task(codes):
    with pytest.raises(AirflowSkipException, match="99"):
        sh("exit 99", skip_on_exit_code=codes).execute({})


def test_a_command_is_split_as_a_shell_would_or_read_as_a_list():
    assert task("echo 'a  b'  c").execute({}) == "a  b c"
    assert task("['echo', 'a  b', '-x']").execute({}) == "a  b -x"
    assert task(" -c 'echo $0 in' sh", entrypoint="sh").execute({}) == "sh in"
    assert task(["in"], entrypoint=["sh", "-c", "echo $0 $1", "sh"]).execute({}) == "sh in"


def test_variables_have_docker_s_precedence():
    operator = sh(
        "echo $FILE $BOTH $ALL",
        env_file="# c\nexport FILE='of file'\nBOTH=file\nALL=file\n",
        environment={"BOTH": "environment", "ALL": "environment"},
        private_environment={"ALL": "private"},
    )
    assert operator.execute({}) == "of file environment private"


def test_variables_that_airtight_reads_itself_reach_only_the_payload():
    names = {"CONTAINERD_ADDRESS": "/nowhere", "AIRTIGHT_STATE_DIR": "/nowhere", "LD_PRELOAD": "/nowhere.so"}
    operator = sh("echo $CONTAINERD_ADDRESS $AIRTIGHT_STATE_DIR", environment=names)
    assert operator.execute({}).endswith("/nowhere /nowhere")


def test_a_variable_may_have_several_lines():
    assert sh('echo "$A"', environment={"A": "x\ny"}, xcom_all=True).execute({}) == ["x", "y"]


def test_nothing_of_the_worker_s_environment_gets_in(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    assert "secret" not in "".join(sh("env", xcom_all=True).execute({}))


def test_values_are_on_no_command_line_and_not_in_the_log(log, fifo):
    secret, other = "s3cr3t-of-the-test", "pl41n-of-the-test"
    operator = sh(
        "cat /sync/fifo",
        private_environment={"SECRET": secret},
        environment={"OTHER": other},
        mounts=[at(fifo.parent, "/sync")],
    )
    thread, raised = in_thread(operator, fifo)
    with open(fifo, "wb"):
        # The container's own cat has opened the other end.
        lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    thread.join()
    assert raised == []
    own = [line for line in lines if b"--private-env=SECRET" in line]
    assert own and not any(secret.encode() in line or other.encode() in line for line in lines)
    assert secret not in log.text and other not in log.text


def test_private_values_are_made_known_to_airflow_s_own_masking(monkeypatch):
    masked = []
    monkeypatch.setattr("airtight_airflow.operators.mask_secret", masked.append)
    sh("true", private_environment={"A": "of two\nlines", "B": "yes"}, environment={"C": "public"}).execute({})
    assert masked == ["of two\nlines", "of two", "lines"]


def test_tmp_dir_is_a_directory_of_the_host_that_any_user_can_write_to(tmp_path):
    script = "touch $AIRFLOW_TMP_DIR/x && echo $AIRFLOW_TMP_DIR"
    assert sh(script, user="app", host_tmp_dir=str(tmp_path)).execute({}) == "/tmp/airflow"
    assert list(tmp_path.iterdir()) == []
    assert sh("echo -$AIRFLOW_TMP_DIR-", mount_tmp_dir=False).execute({}) == "--"


PICKLE = 'import os, pickle; pickle.dump({"n": [1, 2]}, open(os.environ["OUT"], "wb"))'


@pytest.mark.parametrize("path", ["/tmp/script.out", "/opt/new/dir/out.bin", "/tmp/airflow/a.pickle", "/data/a.pickle"])
@pytest.mark.parametrize("user", [None, "1000:1000"])
def test_an_output_file_is_unpickled_wherever_it_is(path, user, tmp_path):
    tmp_path.chmod(0o777)
    operator = task(
        ["python3", "-c", PICKLE],
        image=PYTHON,
        user=user,
        environment={"OUT": path},
        mounts=[at(tmp_path, "/data")],
        retrieve_output=True,
        retrieve_output_path=path,
    )
    assert operator.execute({}) == {"n": [1, 2]}


@pytest.mark.parametrize("path", ["/tmp/none", "/tmp/airflow/none"])
def test_no_output_file_is_none(path):
    assert sh("echo line", retrieve_output=True, retrieve_output_path=path).execute({}) is None


def test_an_output_file_that_is_a_link_is_not_followed_on_the_host(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(pickle.dumps("of the host"))
    operator = sh(f"ln -s {secret} $AIRFLOW_TMP_DIR/o", retrieve_output=True, retrieve_output_path="/tmp/airflow/o")
    with pytest.raises(AirflowException, match="no link is followed"):
        operator.execute({})


def test_what_a_container_is_given_is_inside(tmp_path):
    script = """
        id -u; hostname; pwd; cat /etc/hosts | tail -n 1; grep -v '^options' /etc/resolv.conf; ulimit -n
        df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2; cat /data/f; touch /data/x 2>/dev/null || echo ro
    """
    tmp_path.chmod(0o777)
    (tmp_path / "f").write_text("of the host\n")
    operator = sh(
        script,
        xcom_all=True,
        user=1000,
        hostname="box",
        working_dir="/srv",
        extra_hosts={"db": "10.0.0.9"},
        dns=["10.0.0.53"],
        dns_search=["example.org"],
        ulimits=[{"Name": "nofile", "Soft": 99, "Hard": 100}],
        shm_size=1 << 20,
        mounts=[{"type": "bind", "source": str(tmp_path), "target": "/data", "read_only": True}],
        labels=["a", "b"],
        container_name="task___with_docker-s_name_",
        cap_add=["NET_ADMIN"],
        cpus=0.5,
        mem_limit=2e8,
        ipc_mode="private",
        network_mode="none",
    )
    assert operator.execute({}) == [
        *("1000", "box", "/srv", "10.0.0.9\tdb", "nameserver 10.0.0.53", "search example.org", "99", "1024"),
        *("of the host", "ro"),
    ]


def test_a_terminal_a_host_network_and_privileges_can_be_had():
    assert sh("test -t 1 && echo yes", tty=True).execute({}) == "yes"
    own = os.readlink("/proc/self/ns/net")
    assert sh("readlink /proc/self/ns/net", network_mode="host").execute({}) == own
    assert sh("readlink /proc/self/ns/net").execute({}) != own
    effective = "grep CapEff /proc/self/status"
    assert sh(effective).execute({}) != sh(effective, privileged=True).execute({})


def test_on_kill_leaves_no_container(fifo):
    operator = sh("exec 3>/sync/fifo; sleep 600", mounts=[at(fifo.parent, "/sync")])
    thread, raised = in_thread(operator, fifo)
    with open(fifo, "rb") as other_end:
        operator.on_kill()
        assert other_end.read() == b""
    thread.join()
    assert "stopped on request" in str(raised[0])
    assert containers() == ""


class TimeoutHere(Exception):
    pass


@pytest.fixture
def alarm(fifo):
    """Does something in a signal handler of the main thread, as Airflow does, once the payload runs."""
    threads = []
    previous = signal.getsignal(signal.SIGUSR1)

    def set_alarm(action):
        def send():
            # The payload runs when both ends of the FIFO are open.
            with open(fifo, "rb"):
                os.kill(os.getpid(), signal.SIGUSR1)

        signal.signal(signal.SIGUSR1, lambda number, frame: action())
        threads.append(threading.Thread(target=send))
        threads[0].start()

    yield set_alarm
    signal.signal(signal.SIGUSR1, previous)
    for thread in threads:
        thread.join()


def test_a_time_limit_that_raises_in_execute_leaves_no_container(fifo, alarm):
    def action():
        raise TimeoutHere

    alarm(action)
    with pytest.raises(TimeoutHere):
        sh("exec 3>/sync/fifo; sleep 600", mounts=[at(fifo.parent, "/sync")]).execute({})
    assert containers() == ""


def test_on_kill_in_a_signal_handler_lets_the_payload_say_its_last_words(fifo, alarm):
    script = "trap 'echo last words; exit 0' TERM; exec 3>/sync/fifo; sleep 600 & wait"
    operator = sh(script, mounts=[at(fifo.parent, "/sync")])
    alarm(operator.on_kill)
    with pytest.raises(AirflowException, match="stopped on request") as caught:
        operator.execute({})
    assert caught.value.logs == ["last words"]
    assert containers() == ""


def test_a_killed_worker_takes_its_container_with_it(fifo):
    code = (
        "import operator_support\nfrom airtight_airflow.operators import AirtightOperator\n"
        f"mounts = [dict(type='bind', source={str(fifo.parent)!r}, target='/sync')]\n"
        "command = ['sh', '-c', 'exec 3>/sync/fifo; sleep 600']\n"
        f"AirtightOperator(task_id='t', image={BUSYBOX!r}, command=command, mounts=mounts).execute({{}})\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*PATHS, str(Path(__file__).parent)])}
    worker = subprocess.Popen([sys.executable, "-c", code], env=environment)
    with open(fifo, "rb") as other_end:
        worker.kill()
        assert other_end.read() == b""
    worker.wait()
    # Any command undoes what a dead owner left.
    airtight("image", "ls")
    assert containers() == ""
