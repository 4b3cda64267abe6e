"""`airtight parse` with the image of a real Airflow 3."""

from __future__ import annotations

import parse_verb_support as support
from airflow_3 import Airflow


def test_a_folder_is_parsed_and_each_file_s_errors_are_told(airflow: Airflow) -> None:
    support.check_table(airflow.environment, airflow.home / "dags")


def test_dags_are_serialized_as_on_the_host_and_variables_are_handed_in(airflow: Airflow) -> None:
    support.check_serialized(airflow.environment, airflow.home / "dags")
