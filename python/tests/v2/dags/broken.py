"""A file that looks for a module that is nowhere, where an airflow DAG should be."""

import no_such_module_anywhere  # noqa: F401
