"""Servers that an Airflow needs beside itself: PostgreSQL, and Redis for Celery.

In: Debian's packages postgresql and redis-server. Out: one of each on a port of 127.0.0.1, with an empty database or
nothing in it, for as long as a block lasts; they die with this process. Must never touch a server of the host.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow_home import connect, free_port, until

# Debian's own user for it; PostgreSQL refuses to run as root.
USER = "postgres"


@dataclass
class Server:
    """One that runs."""

    pid: int
    url: str


@contextlib.contextmanager
def postgresql(password: str) -> Iterator[Server]:
    """A PostgreSQL whose superuser has this password; the URL lacks the name of a database."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    assert programs, "no PostgreSQL here: scripts/install-deps postgresql"
    # Not among pytest's directories, which that user may not enter.
    directory = Path(tempfile.mkdtemp(prefix="airtight-postgresql-"))
    port = free_port()
    try:
        given = directory / "password"
        given.write_text(password)
        data = directory / "data"
        data.mkdir()
        for path in (directory, given, data):
            shutil.chown(path, USER)
        initdb = programs[-1].with_name("initdb")
        _as_user(str(initdb), "-D", str(data), "-A", "scram-sha-256", f"--pwfile={given}", "-E", "UTF8", "--no-sync")
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "max_connections": "200",
            # What is lost with the machine is lost anyway.
            "fsync": "off",
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        url = f"postgresql+psycopg2://{USER}:{password}@127.0.0.1:{port}"
        with _server([*_user_words(), str(programs[-1]), "-D", str(data), *words], directory, url) as server:
            yield server
    finally:
        shutil.rmtree(directory)


@contextlib.contextmanager
def redis(password: str) -> Iterator[Server]:
    """A Redis that keeps nothing."""
    assert shutil.which("redis-server"), "no Redis here: scripts/install-deps redis-server"
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="airtight-redis-") as directory:
        settings = Path(directory) / "redis.conf"
        settings.write_text(f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\ndir {directory}\n')
        words = ["setpriv", "--pdeathsig", "TERM", "redis-server", str(settings)]
        with _server(words, Path(directory), f"redis://:{password}@127.0.0.1:{port}/0") as server:
            yield server


@contextlib.contextmanager
def _server(words: list[str], directory: Path, url: str) -> Iterator[Server]:
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(words, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        until(lambda: _answers(url), lambda: f"{words} does not answer: {(directory / 'log').read_text()}", 60)
        yield Server(process.pid, url)
    finally:
        # For PostgreSQL this is the fast way out: whoever is still connected loses.
        process.send_signal(2)
        process.wait(60)


def _answers(url: str) -> bool:
    if url.startswith("redis"):
        import redis as client

        with contextlib.suppress(client.ConnectionError):
            return client.from_url(url).ping()
        return False
    import psycopg2

    with contextlib.suppress(psycopg2.OperationalError), contextlib.closing(connect(f"{url}/postgres")):
        return True
    return False


def _user_words() -> list[str]:
    return ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "--pdeathsig", "INT"]


def _as_user(*words: str) -> None:
    done = subprocess.run([*_user_words(), *words], cwd="/", capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"


def make_database(server: Server, name: str, template: str = "template0") -> str:
    """A new database that begins as a copy of another; its URL."""
    with contextlib.closing(connect(f"{server.url}/postgres")) as connection:
        connection.autocommit = True
        connection.cursor().execute(f'create database "{name}" template "{template}"')
    return f"{server.url}/{name}"
