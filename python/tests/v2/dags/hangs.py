"""A DAG file that never ends, where an airflow DAG should be."""

import time

while True:
    time.sleep(1)
