"""Everything of the host's Airflow that crosses into a container of Airflow 3, in one place with the reason.

In: Airflow's configuration on the host. Out: variables for the container, and host directories to mount read-only.
Only settings that somebody changed cross, and only those that this Airflow describes: of any other nobody can say
whether it is a secret. What is described as sensitive, and what a command or a secrets backend would give, never does:
no token, database URL or fernet key is ever needed inside, since the supervisor stays here.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping

# Section -> why its settings count inside.
SECTIONS = {
    "core": "defaults of DAGs and tasks (owner, time zone, retries), names of executors, deserialisation",
    "operators": "defaults of every operator: owner, queue, resources",
    "sensors": "the time limit that sensors have by default",
    "dag_processor": "time limits and depth of import errors while a file is parsed",
    "email": "who sends mail and what it looks like, where a callback or a failing task sends one",
    "logging": "levels and formats; the lines themselves are written by the supervisor on the host",
    "workers": "what a task does when its DAG is not found",
    "state_store": "whether a task's state is cleared when it succeeds",
    "lineage": "lineage of inlets and outlets",
    "api": "links to the user interface in templates and mails",
}

# Settings of those sections that stay on the host.
STAYS = {
    ("core", "auth_manager"): "an affair of the API server",
    ("core", "execution_api_server_url"): "nothing inside calls it",
    ("core", "mp_start_method"): "an affair of the executor",
    ("core", "task_execution_runtime"): "containers start no containers",
    ("core", "scheduler_dag_parsing_runtime"): "containers start no containers",
    ("dag_processor", "dag_bundle_config_list"): "may hold credentials; `bundle` says where the files are instead",
    ("dag_processor", "dag_bundle_storage_path"): "the host fetches bundles",
    ("logging", "remote_logging"): "the supervisor uploads logs",
    ("logging", "logging_config_class"): "lines go to the supervisor, whose configuration counts",
    ("logging", "base_log_folder"): "nothing inside writes log files",
    ("logging", "dag_processor_manager_log_location"): "nothing inside writes log files",
    ("logging", "dag_processor_child_process_log_directory"): "nothing inside writes log files",
}


# Of those, what a supervisor needs that runs inside itself: it uploads its logs.
WHOLE = frozenset({("logging", "remote_logging")})


@functools.cache
def settings(also: frozenset[tuple[str, str]] = frozenset()) -> Mapping[str, str]:
    """The variables that carry this host's changed settings, `also` among them; they hold no secret."""
    from airflow import settings as airflow_settings
    from airflow.configuration import conf

    sensitive = conf.sensitive_config_values
    # Without commands and secrets: those would be run for every option here, and their answers are secrets.
    everything = conf.as_dict(display_source=True, display_sensitive=True, include_cmds=False, include_secret=False)
    # By default these are below AIRFLOW_HOME, which is another directory inside.
    crossing = {
        "AIRFLOW__CORE__DAGS_FOLDER": airflow_settings.DAGS_FOLDER,
        "AIRFLOW__CORE__PLUGINS_FOLDER": airflow_settings.PLUGINS_FOLDER,
    }
    for section in SECTIONS:
        described = conf.configuration_description.get(section, {}).get("options", {})
        for key, (value, source) in everything.get(section, {}).items():
            stays = key not in described or (section, key) in sensitive or (section, key) in STAYS.keys() - also
            if source != "default" and not stays:
                crossing[f"AIRFLOW__{section.upper()}__{key.upper()}"] = str(value)
    return crossing


def bundle(name: str, path: str) -> Mapping[str, str]:
    """The variable that tells Airflow inside that the files of bundle `name` are at `path`, wherever from they came."""
    local = {
        "name": name,
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": path},
    }
    return {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([local])}


def whole() -> tuple[Mapping[str, str], list[str]]:
    """The variables and the host files for a supervisor inside: its log folder, and how it talks to the API server."""
    from airflow.configuration import conf

    folder = os.path.abspath(os.path.expanduser(conf.get("logging", "base_log_folder")))
    # The path of a client's key is no secret; the key is, and a server that asks for it gets no answer without.
    certificates = [conf.get("api", key, fallback="") for key in ("ssl_cert", "client_ssl_cert", "client_ssl_key")]
    return {**settings(WHOLE), "AIRFLOW__LOGGING__BASE_LOG_FOLDER": folder}, [path for path in certificates if path]


def code_directories() -> list[str]:
    """Directories of the operator's code that DAGs and cluster policies import: they go onto Python's path inside."""
    from airflow import settings as airflow_settings

    candidates = [os.path.join(airflow_settings.AIRFLOW_HOME, "config"), airflow_settings.PLUGINS_FOLDER]
    return [path for path in candidates if os.path.isdir(path)]


def without_secrets(environment: Mapping[str, str]) -> Mapping[str, str]:
    """`environment` without the settings that Airflow describes as sensitive: for a program of ours on the host."""
    from airflow.configuration import conf

    names = {f"AIRFLOW__{section}__{key}".upper() for section, key in conf.sensitive_config_values}
    secret = {name + suffix for name in names for suffix in ("", "_CMD", "_SECRET")}
    return {name: value for name, value in environment.items() if name not in secret}
