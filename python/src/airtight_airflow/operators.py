"""AirtightOperator: runs one task's container by `airtight run`, in the place of DockerOperator.

In: the parameters of DockerOperator (apache-airflow-providers-docker 4.6.1), each under the same name, with the same
default and templating; the table of what each does here is in `docs/operator.md`. Out: the container's output in
the task log, its last line (or all, or an unpickled file) as XCom, and an exception that says how it ended. What
airtight cannot do is refused before anything starts. Must never put a variable's value on a command line, nor leave
a container behind.
"""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from airtight_airflow import _command, _images, _request
from airtight_airflow._airflow import AirflowException, BaseOperator, mask_secret
from airtight_airflow._child import Children
from airtight_airflow._command import CommandError
from airtight_airflow._ending import Ending
from airtight_airflow._exchange import Exchange, open_below
from airtight_airflow._translate import Refused
from airtight_airflow._variables import Variables
from airtight_airflow.exceptions import AirtightContainerFailedException, AirtightContainerFailedSkipException

# How much of the output is kept for an exception, where not all of it becomes XCom.
_LAST_LINES = 1000

# Masking shorter secrets would blacken half the log (Airflow 3 has the same limit).
_SHORTEST_SECRET = 5


class AirtightOperator(BaseOperator):
    """
    Runs a command in a new container, without a Docker daemon.

    A drop-in for DockerOperator: see its documentation for the parameters. Differences: the container is always
    removed; without ``network_mode`` it has no network, and ``host`` is the only other one; ``port_bindings``,
    ``device_requests`` and named volumes are refused; the ``tls_*``, ``docker_url``, ``api_version``, ``timeout`` and
    ``log_opts_*`` have nothing to act upon.
    """

    template_fields: Sequence[str] = (
        "image",
        "command",
        "environment",
        "env_file",
        "container_name",
        "mounts",
        "docker_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"env_file": "yaml"}
    template_ext: Sequence[str] = (".sh", ".bash", ".env")

    def __init__(
        self,
        *,
        image: str,
        api_version: str | None = None,
        command: str | list[str] | None = None,
        container_name: str | None = None,
        cpus: float = 1.0,
        docker_url: str | list[str] | None = None,
        environment: dict | None = None,
        private_environment: dict | None = None,
        env_file: str | None = None,
        force_pull: bool = False,
        mem_limit: float | str | None = None,
        host_tmp_dir: str | None = None,
        network_mode: str | None = None,
        tls_ca_cert: str | None = None,
        tls_client_cert: str | None = None,
        tls_client_key: str | None = None,
        tls_verify: bool = True,
        tls_hostname: str | bool | None = None,
        tls_ssl_version: str | None = None,
        mount_tmp_dir: bool = True,
        tmp_dir: str = "/tmp/airflow",
        user: str | int | None = None,
        mounts: list | None = None,
        entrypoint: str | list[str] | None = None,
        working_dir: str | None = None,
        xcom_all: bool = False,
        docker_conn_id: str | None = None,
        dns: list[str] | None = None,
        dns_search: list[str] | None = None,
        auto_remove: str = "never",
        shm_size: int | None = None,
        tty: bool = False,
        hostname: str | None = None,
        privileged: bool = False,
        cap_add: Iterable[str] | None = None,
        extra_hosts: dict[str, str] | None = None,
        retrieve_output: bool = False,
        retrieve_output_path: str | None = None,
        timeout: int = 60,
        device_requests: list | None = None,
        log_opts_max_size: str | None = None,
        log_opts_max_file: str | None = None,
        ipc_mode: str | None = None,
        skip_on_exit_code: int | Container[int] | None = None,
        port_bindings: dict | None = None,
        ulimits: list | None = None,
        labels: dict[str, str] | list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if auto_remove not in ("never", "success", "force"):
            raise ValueError(f"auto_remove={auto_remove!r} is none of 'never', 'success' and 'force'")
        if port_bindings and network_mode == "host":
            raise ValueError("port_bindings cannot be had with network_mode='host'")
        self.image = image
        self.api_version = api_version
        self.command = command
        self.container_name = container_name
        self.cpus = cpus
        self.docker_url = docker_url
        self.environment = environment or {}
        self._private_environment = private_environment or {}
        self.env_file = env_file
        self.force_pull = force_pull
        self.mem_limit = mem_limit
        self.host_tmp_dir = host_tmp_dir
        self.network_mode = network_mode
        self.tls_ca_cert = tls_ca_cert
        self.tls_client_cert = tls_client_cert
        self.tls_client_key = tls_client_key
        self.tls_verify = tls_verify
        self.tls_hostname = tls_hostname
        self.tls_ssl_version = tls_ssl_version
        self.mount_tmp_dir = mount_tmp_dir
        self.tmp_dir = tmp_dir
        self.user = user
        self.mounts = mounts or []
        self.entrypoint = entrypoint
        self.working_dir = working_dir
        self.xcom_all = xcom_all
        self.docker_conn_id = docker_conn_id
        self.dns = dns
        self.dns_search = dns_search
        self.auto_remove = auto_remove
        self.shm_size = shm_size
        self.tty = tty
        self.hostname = hostname
        self.privileged = privileged
        self.cap_add = cap_add
        self.extra_hosts = extra_hosts
        self.retrieve_output = retrieve_output
        self.retrieve_output_path = retrieve_output_path
        self.timeout = timeout
        self.device_requests = device_requests
        self.log_opts_max_size = log_opts_max_size
        self.log_opts_max_file = log_opts_max_file
        self.ipc_mode = ipc_mode
        if skip_on_exit_code is None:
            skip_on_exit_code = []
        elif not isinstance(skip_on_exit_code, Container):
            skip_on_exit_code = [skip_on_exit_code]
        self.skip_on_exit_code = skip_on_exit_code
        self.port_bindings = port_bindings or {}
        self.ulimits = ulimits or []
        self.labels = labels
        self._children = Children()

    def execute(self, context: Any) -> Any:
        """Pulls the image where that is called for, and runs the container; its result is the XCom."""
        try:
            _request.refuse_what_cannot_be(self)
            _request.say_what_is_unused(self)
            with Exchange(self.host_tmp_dir) as exchange:
                return self._run(exchange)
        except (Refused, CommandError) as why:
            raise AirflowException(str(why)) from None

    def on_kill(self) -> None:
        """Asks airtight to end the pull, or the container within its stop timeout; `execute` waits for that."""
        self._children.stop()
        # Only then: it is called in a signal handler, where a log may refuse a line.
        self.log.info("Stopping what airtight does for this task")

    def _handed_over(self, exchange: Exchange) -> list[dict[str, Any]]:
        """What a subclass mounts into the container beside the user's mounts."""
        return []

    def _run(self, exchange: Exchange) -> Any:
        mounts = [*_request.mounts(self, exchange), *self._handed_over(exchange)]
        output = _request.output_place(self, exchange, mounts)
        variables = _request.variables(self, self._private_environment)
        try:
            for secret in variables.secrets():
                if len(secret) >= _SHORTEST_SECRET:
                    mask_secret(secret)
            words = _request.words(self, mounts, variables, exchange.verdict)
            # What can be refused has been refused.
            if self.force_pull or not _images.is_here(self.image):
                _images.pull(self._children, self.image, self.docker_conn_id, self.log)
            self.log.info("Starting a container from image %s", self.image)
            lines, ending = self._watch([_command.binary(), "run", *words], variables, exchange.verdict)
        finally:
            variables.close()
        self._judge(ending, lines)
        if output is not None:
            return self._retrieve(output)
        if not self.do_xcom_push or not lines:
            return None
        return lines if self.xcom_all else lines[-1]

    def _watch(self, argv: list[str], variables: Variables, verdict: Path) -> tuple[list[str], Ending]:
        """Shows the output while it comes; the lines that the payload wrote, and how it ended."""
        lines: deque[str] = deque(maxlen=None if self.xcom_all else _LAST_LINES)

        def show(line: str) -> None:
            # airtight warns before the payload starts, and on the same pipe.
            if not lines and line.startswith("airtight: warning: "):
                self.log.warning("%s", line)
                return
            self.log.info("%s", line)
            lines.append(line)

        status = self._children.run(argv, variables.environment(), variables.descriptors(), show)
        ending = Ending.of(status, verdict)
        return _without_leftovers(list(lines), ending), ending

    def _judge(self, ending: Ending, lines: list[str]) -> None:
        """Raises what the ending calls for; returns after success."""
        code = ending.payload_code
        if code is not None and code in self.skip_on_exit_code:
            raise AirtightContainerFailedSkipException(f"The container ended with exit code {code}: skipped.", lines)
        if code != 0:
            limit = "the host ran out of it, mem_limit is not set"
            if self.mem_limit:
                limit = f"mem_limit is {self.mem_limit}"
            raise AirtightContainerFailedException(f"The container failed: {ending.explain(limit)}", lines)

    def _retrieve(self, place: tuple[str, str]) -> Any:
        """The unpickled result; None where there is none. Unpickling runs what the container wrote, as it says."""
        file = open_below(*place)
        if file is None:
            return None
        with file:
            if os.fstat(file.fileno()).st_size == 0:
                return None
            return getattr(self, "pickling_library", pickle).load(file)


def _without_leftovers(lines: list[str], ending: Ending) -> list[str]:
    """What airtight could not undo, it says behind the payload's last line; the verdict tells how many lines."""
    count = len(ending.verdict.get("leftovers") or ())
    own = count and all(line.startswith("airtight: ") for line in lines[-count:])
    return lines[:-count] if own else lines
