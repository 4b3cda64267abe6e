"""Four tasks: values over XCom, what a task can find of the host's secrets, and one that is mapped."""

import os
import re
import socket
import subprocess
import time

from airflow.sdk import DAG, Variable, task

# What the host's secrets begin with; in two parts, so that this file is not taken for one.
SECRET = ("airtight-" + "secret-").encode()
TOKEN = re.compile(rb"eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}")
DIRECTORIES = ("/proc", "/opt/airtight_airflow", "/tmp", "/var/tmp", "/run", "/etc", "/root", "/home", "/mnt", "/srv")


def has_secret(path: str) -> bool:
    with open(path, "rb") as file:
        content = file.read(1 << 20)
    return SECRET in content or TOKEN.search(content) is not None


with DAG("chain", schedule=None):

    @task
    def number() -> int:
        print("a line on stdout, in", "a container" if os.path.isdir("/opt/airtight_airflow") else "the host")
        return 20

    @task
    def double(value: int) -> int:
        return 2 * value + int(Variable.get("two"))

    @task
    def secrets() -> list[str]:
        # Two that are there, so that finding none of the others means something.
        with open("/tmp/planted", "wb") as file:
            file.write(SECRET)
        planted = subprocess.Popen(["sleep", "600"], env={**os.environ, "PLANTED": SECRET.decode()})
        # The test looks from the host meanwhile.
        while not os.path.exists(os.path.join(os.path.dirname(__file__), "looked")):
            time.sleep(0.1)
        found = []
        for top in (*DIRECTORIES, os.environ.get("AIRFLOW_HOME", "/tmp"), os.path.dirname(os.path.dirname(__file__))):
            for directory, below, names in os.walk(top):
                # A process's environment and command line are what matters of /proc, not its views of the rest.
                if top == "/proc":
                    below[:] = [name for name in below if name.isdigit()] if directory == "/proc" else []
                    names = [name for name in names if name in ("environ", "cmdline")]
                for name in names:
                    path = os.path.join(directory, name)
                    try:
                        if os.path.isfile(path) and has_secret(path):
                            found.append(path)
                    except OSError:
                        pass
        planted.kill()
        return sorted(path.replace(f"/{planted.pid}/", "/planted/") for path in found)

    @task
    def interfaces() -> list[str]:
        return [name for _, name in socket.if_nameindex()]

    @task
    def mapped(value: int) -> int:
        return value * value

    double(number())
    secrets()
    interfaces()
    mapped.expand(value=[1, 2])
