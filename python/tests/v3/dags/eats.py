"""Eats more memory than its container may have, while it is parsed, where an airflow DAG should be."""

kept = [bytearray(1 << 24) for _ in range(200)]
