"""Airflow tasks and DAG parsing, each in its own sealed container, by the program `airtight`.

In: Airflow's settings; above all the feature flags of AIP-46 (`_flags.py`). Out: nothing by itself; the plugin
(`plugin.py`), the coordinator (`tasks_v3.py`) and the operators are what Airflow loads.

Importing this package must never import Airflow or change anything: Airflow is half loaded when it reads plugins.
"""

__version__ = "0.1.0"
