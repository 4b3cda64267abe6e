"""A DAG file of airflow that cannot be imported."""

import no_such_module_anywhere  # noqa: F401
