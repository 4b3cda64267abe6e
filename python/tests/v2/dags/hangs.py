"""A DAG file that never ends, where an airflow DAG should be."""

import time

print("this file never ends", flush=True)
while True:
    time.sleep(1)
