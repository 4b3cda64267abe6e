"""Never ends, and neither does what it starts, where a DAG should be."""

import os
import signal
import subprocess
import time

import airflow  # noqa: F401  # a file with a DAG, it seems

subprocess.Popen(["sh", "-c", "trap '' TERM HUP; sleep 1000 # left-by-another"], start_new_session=True)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
while True:
    time.sleep(1)
