"""A registry of the tests' own, with TLS and a password, and a line to it that stands still.

In: Debian's docker-registry, skopeo and openssl, and the archives of AIRTIGHT_TEST_IMAGES. Out: a `Registry` at a port
of localhost; it dies with this process. Must never be a registry that somebody else uses.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

USER, PASSWORD = "alice", "op3rator-s-s3cret"
# htpasswd -Bbn alice op3rator-s-s3cret
_HTPASSWD = "alice:$2y$05$0O.3oR3nQjoixp33ErzBaOMltLDxuqCGUyncDryUs0ZbvVUknj/1W\n"

_CERTIFICATES = """
openssl req -x509 {key} -keyout ca.key -out certs/ca.crt -days 2 -subj /CN=authority
openssl req {key} -keyout server.key -out server.csr -subj /CN=localhost
openssl x509 -req -in server.csr -CA certs/ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt
"""
_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"


class Registry:
    """At `localhost:PORT`."""

    def __init__(self, directory: Path, port: int) -> None:
        self._directory = directory
        self.port = port
        self.name = f"localhost:{port}"
        # The authority that a worker has to trust.
        self.ca_file = str(directory / "certs/ca.crt")

    def push(self, archive: str, name: str) -> str:
        """Puts an archive of scripts/make-test-images into it; the name of the image."""
        return self.push_archive(Path(f"{os.environ['AIRTIGHT_TEST_IMAGES']}/{archive}.tar"), name)

    def push_new(self, name: str) -> str:
        """Puts an image into it that is nowhere else, with a layer of a megabyte."""
        root = self._directory / "root"
        root.mkdir(exist_ok=True)
        (root / "noise").write_bytes(os.urandom(1 << 20))
        (self._directory / "config.json").write_text("{}")
        program = Path(__file__).resolve().parents[2] / "scripts/oci-archive"
        _call([str(program), "new.tar", "new:1", "config.json", "root"], self._directory)
        return self.push_archive(self._directory / "new.tar", name)

    def push_archive(self, archive: Path, name: str, tag: str = "") -> str:
        """Puts an image of an OCI archive into it, that of this `tag` where it has several; the name of the image."""
        image = f"{self.name}/{name}"
        words = ["skopeo", "copy", "--quiet", f"--dest-cert-dir={self._directory / 'certs'}"]
        _call(
            [*words, f"--dest-creds={USER}:{PASSWORD}", f"oci-archive:{archive}:{tag}", f"docker://{image}"],
            self._directory,
        )
        return image

    def connection(self, password: str = PASSWORD, **fields: object) -> str:
        """An Airflow connection to it, as a variable AIRFLOW_CONN_… holds one."""
        given = {"conn_type": "docker", "host": "localhost", "port": self.port, "login": USER, "password": password}
        return json.dumps({**given, **fields})


@contextlib.contextmanager
def registry(directory: Path) -> Iterator[Registry]:
    """A new and empty one."""
    (directory / "certs").mkdir()
    (directory / "names").write_text("subjectAltName=DNS:localhost\n")
    (directory / "htpasswd").write_text(_HTPASSWD)
    for line in _CERTIFICATES.format(key=_KEY).strip().splitlines():
        _call(line.split(), directory)
    tls = {"certificate": str(directory / "server.crt"), "key": str(directory / "server.key")}
    settings = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
        "http": {"addr": "127.0.0.1:0", "tls": tls},
        "auth": {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}},
    }
    # JSON is YAML.
    (directory / "config.yml").write_text(json.dumps(settings))
    words = ["setpriv", "--pdeathsig", "KILL", "docker-registry", "serve", str(directory / "config.yml")]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield Registry(directory, _port(server))
    finally:
        server.kill()
        server.wait()


def _port(server: subprocess.Popen[str]) -> int:
    """Its log says it; the rest of the log is read away."""
    seen = []
    for line in server.stderr or ():
        seen.append(line)
        if (said := line.partition("listening on 127.0.0.1:")[2]) != "":
            threading.Thread(target=lambda: [None for _ in server.stderr or ()], daemon=True).start()
            return int(said.split(",")[0].split('"')[0])
    raise AssertionError(f"docker-registry did not start: {''.join(seen)}")


def _call(words: list[str], directory: Path) -> None:
    done = subprocess.run(words, cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, f"{words[0]}: {done.stderr}"


class Line:
    """Passes connections on to a registry, and in the middle of a layer no more: until its user goes away."""

    # The documents of an image are fewer bytes than this, a layer is more.
    _BYTES = 200_000

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        # Nothing comes any more; the user has gone.
        self.stands_still, self.is_left = threading.Event(), threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Takes no more connections."""
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                user, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                for target in (lambda a=user, b=server: self._up(a, b), lambda a=user, b=server: self._down(a, b)):
                    threading.Thread(target=target, daemon=True).start()

    def _up(self, user: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := user.recv(65536):
                server.sendall(piece)
        if self.stands_still.is_set():
            self.is_left.set()
        server.close()

    def _down(self, user: socket.socket, server: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while (piece := server.recv(16384)) and passed < self._BYTES:
                user.sendall(piece)
                passed += len(piece)
        if passed >= self._BYTES:
            self.stands_still.set()
            return
        user.close()
