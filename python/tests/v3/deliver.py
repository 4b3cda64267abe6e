"""What an executor does with one queued task, without a scheduler: `deliver.py DAG_ID TASK_ID [celery]`.

In: an Airflow 3 with an API server. Out: exit code 0; 3 where Airflow says that the task runs already; 1 on any other
error. It is the process in which a worker would supervise the task; with `celery`, the one that sends it to a worker.
"""

import sys
from datetime import datetime, timezone

from airflow.executors import workloads
from airflow.executors.base_executor import BaseExecutor
from airflow.models.taskinstance import TaskInstance
from airflow.sdk.execution_time import supervisor
from airflow.utils.session import create_session


def main(dag_id: str, task_id: str, way: str = "here") -> int:
    with create_session() as session:
        ti = session.query(TaskInstance).filter_by(dag_id=dag_id, task_id=task_id).one()
        if ti.state is None:
            # As the scheduler does with a run, and with its first tasks.
            ti.dag_run.start_date = datetime.now(timezone.utc)
            ti.state = "queued"
        workload = workloads.ExecuteTask.make(ti, generator=BaseExecutor().jwt_generator)
    if way == "celery":
        from airflow.providers.celery.executors import celery_executor_utils

        celery_executor_utils.execute_workload.apply_async(args=[workload.model_dump_json()], queue=ti.queue)
        return 0
    names = ("ti", "dag_rel_path", "bundle_info", "token", "log_path")
    arguments = {name: getattr(workload, name) for name in names}
    supervise = getattr(supervisor, "supervise_task", None) or supervisor.supervise
    from airflow.configuration import conf

    try:
        supervise(**arguments, server=conf.get("core", "execution_api_server_url"))
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 3 if type(error).__name__ == "TaskAlreadyRunningError" else 1
    return 0


sys.exit(main(*sys.argv[1:]))
