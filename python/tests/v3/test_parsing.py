"""The real DAG processor of Airflow 3 parses DAG files in their containers."""

from __future__ import annotations

import json

from airflow_3 import Airflow


def descriptions(airflow: Airflow) -> dict[str, str]:
    """What the DAG processor wrote into the database: DAG id -> description."""
    return dict(airflow.ask("select dag_id, description from dag"))


def test_each_file_is_parsed_in_its_container_and_the_host_writes_the_results(airflow: Airflow) -> None:
    airflow.add_dags("good.py", "broken.py", "asks.py")
    airflow.run("variables", "set", "colour", "green")
    airflow.parse_all()

    found = descriptions(airflow)
    assert set(found) == {"good", "asks"}
    assert found["good"].startswith("parsed in a container as pid ")
    assert found["asks"] == "the variable is green"
    errors = airflow.ask("select filename, stacktrace from import_error")
    assert [name for name, _ in errors] == ["broken.py"]
    assert "No module named 'no_such_module_anywhere'" in errors[0][1]


def test_with_the_flags_off_files_are_parsed_by_airflow_itself(plain_airflow: Airflow) -> None:
    plain_airflow.add_dags("good.py")
    plain_airflow.parse_all()
    assert descriptions(plain_airflow)["good"].startswith("parsed on the host")


def test_a_file_gives_the_same_serialized_dag_as_on_the_host(airflow: Airflow) -> None:
    airflow.add_dags("good.py")

    def serialized() -> dict:
        airflow.parse_all()
        ((data,),) = airflow.ask("select data from serialized_dag order by last_updated desc limit 1")
        dag = json.loads(data)["dag"]
        del dag["description"]
        return dag

    inside = serialized()
    airflow.environment["AIRFLOW__CORE__SCHEDULER_DAG_PARSING_RUNTIME"] = ""
    assert serialized() == inside


def test_a_missing_image_is_an_import_error_of_the_file_that_says_so(airflow: Airflow) -> None:
    airflow.add_dags("good.py", "asks.py")
    airflow.run("variables", "set", "colour", "green")
    (airflow.dags / "good.py.metadata.yaml").write_text("docker_runtime:\n  image: no.such/image:1\n")
    airflow.parse_all()
    assert set(descriptions(airflow)) == {"asks"}
    ((name, message),) = airflow.ask("select filename, stacktrace from import_error")
    assert name == "good.py"
    assert message.startswith("airtight: this file was not parsed")
    assert "no.such/image:1" in message
    assert "parsing never pulls: airtight image pull --for-dags DIR" in message


def test_plugins_and_cluster_policies_of_the_operator_count_inside(airflow: Airflow) -> None:
    airflow.add_dags("good.py")
    for folder, name, content in (
        ("config", "airflow_local_settings.py", "def dag_policy(dag):\n    dag.tags.add('by the policy')\n"),
        ("plugins", "of_the_operator.py", "TAG = 'by the plugin'\n"),
    ):
        (airflow.home / folder).mkdir()
        (airflow.home / folder / name).write_text(content)
    with open(airflow.dags / "good.py", "a") as file:
        file.write("\nimport of_the_operator\n\nwith DAG('tagged', tags=[of_the_operator.TAG]):\n    pass\n")
    airflow.parse_all()
    assert {tag for (tag,) in airflow.ask("select name from dag_tag where dag_id = 'tagged'")} == {
        "by the policy",
        "by the plugin",
    }


def test_a_parser_that_dies_is_an_import_error_of_the_file(airflow: Airflow) -> None:
    airflow.add_dags("good.py")
    with open(airflow.dags / "good.py", "a") as file:
        file.write("\nos._exit(7)\n")
    airflow.parse_all()
    ((name, message),) = airflow.ask("select filename, stacktrace from import_error")
    assert name == "good.py"
    assert "the process that parsed this file in its container ended with exit code 7" in message
