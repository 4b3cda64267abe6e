"""Runs Airflow 2's own DagFileProcessorManager once over a folder: `parse_all.py FOLDER SECONDS`.

`airflow dag-processor` does the same, but refuses SQLite; a scheduler with SQLite waits for files that hang.
"""

import sys
from datetime import timedelta

from airflow.dag_processing.manager import DagFileProcessorManager
from airflow.jobs.dag_processor_job_runner import DagProcessorJobRunner
from airflow.jobs.job import Job, run_job

folder, seconds = sys.argv[1:]
manager = DagFileProcessorManager(
    dag_directory=folder,
    max_runs=1,
    processor_timeout=timedelta(seconds=float(seconds)),
    dag_ids=[],
    pickle_dags=False,
)
# Plugins hear of a job that starts.
job_runner = DagProcessorJobRunner(job=Job(), processor=manager)
run_job(job=job_runner.job, execute_callable=job_runner._execute)
