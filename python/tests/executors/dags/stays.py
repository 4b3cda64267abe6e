"""Three DAGs with a task that does not end by itself: one is marked as failed, one's worker is killed, one is late."""

import subprocess
import time
from datetime import datetime, timedelta

try:
    from airflow.sdk import DAG, task
except ImportError:
    from airflow import DAG
    from airflow.decorators import task


def stays(dag_run=None) -> None:
    """Leaves a process behind that no signal to the task reaches, and that is deaf to SIGTERM."""
    deaf = "trap '' TERM; while :; do sleep 1; done"
    subprocess.Popen(["sh", "-c", deaf, dag_run.conf["marker"]], start_new_session=True)
    time.sleep(3600)


for name, limit in (("marked", None), ("killed", None), ("late", timedelta(seconds=5))):
    with DAG(name, schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
        # Before the ten tasks, since one waits for these.
        task(execution_timeout=limit, priority_weight=100)(stays)()
