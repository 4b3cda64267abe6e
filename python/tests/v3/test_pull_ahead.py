"""What a DAG file lacks, `airtight image pull --for-dags` fetches from a real registry."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path

from airflow_3 import Airflow
from registry_support import PASSWORD, USER, registry


def test_a_file_whose_image_is_missing_is_parsed_after_a_pull_ahead(airflow: Airflow, tmp_path: Path) -> None:
    archive = Path(os.environ["AIRTIGHT_TEST_AIRFLOW_IMAGE"])
    docker, served = tmp_path / "docker", tmp_path / "served"
    docker.mkdir()
    served.mkdir()
    airflow.add_dags("good.py")
    with registry(served) as server:
        image = server.push_archive(archive, "team/etl:1", os.environ["AIRTIGHT_TEST_AIRFLOW"])
        (airflow.dags / "good.py.metadata.yaml").write_text(f"docker_runtime:\n  image: {image}\n")
        airflow.parse_all()
        assert airflow.ask("select dag_id from dag") == []
        ((message,),) = airflow.ask("select stacktrace from import_error")
        assert image in message and "airtight image pull --for-dags DIR" in message

        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (docker / "config.json").write_text(json.dumps({"auths": {server.name: {"auth": login}}}))
        trusting = {**airflow.environment, "DOCKER_CONFIG": str(docker), "SSL_CERT_FILE": server.ca_file}
        try:
            subprocess.run(["airtight", "image", "pull", "--for-dags", str(airflow.dags)], env=trusting, check=True)
            airflow.parse_all()
            assert airflow.ask("select dag_id from dag") == [("good",)]
            assert airflow.ask("select filename from import_error") == []
        finally:
            subprocess.run(["airtight", "image", "rm", image], check=True)
