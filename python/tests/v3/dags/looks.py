"""Says what it found where it is parsed, in the description of a DAG of the file's name, and then changes all of it."""

import json
import os
import signal
import socket
import subprocess
import sys
import types
from pathlib import Path

from airflow.sdk import DAG

NAME = Path(__file__).stem
LEFT = "left_by_another"


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


umask = os.umask(0o007)
seen = {
    "modules": [name for name in sys.modules if name.startswith(LEFT)],
    "environment": [name for name in os.environ if name.startswith(LEFT)],
    "path": [path for path in sys.path if LEFT in path],
    "arguments": sys.argv[1:],
    "directory": os.getcwd(),
    "umask": umask,
    "handler": str(signal.getsignal(signal.SIGUSR1)),
    "descriptors": [number for number in range(1000) if is_open(number)],
    "processes": [
        path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline") if b"left-by-another" in path.read_bytes()
    ],
}
where = {"container": socket.gethostname(), "parser": Path(f"/proc/{os.getppid()}/stat").read_text().split()[21]}

sys.modules[f"{LEFT}_{NAME}"] = types.ModuleType(LEFT)
os.environ[LEFT] = NAME
sys.path.append(f"/{LEFT}")
sys.argv.append(LEFT)
os.chdir("/tmp")
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
os.dup(0)
subprocess.Popen(["sh", "-c", "trap '' TERM HUP; sleep 1000 # left-by-another"], start_new_session=True)

with DAG(NAME, description=json.dumps({"seen": seen, **where}), schedule=None):
    pass
