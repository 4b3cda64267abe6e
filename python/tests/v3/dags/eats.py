"""Eats memory while it is parsed, where an airflow DAG should be."""

kept = []
while True:
    kept.append(bytearray(1 << 24))
