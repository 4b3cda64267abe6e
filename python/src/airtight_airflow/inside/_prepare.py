"""What has to be true in the container before its Airflow is imported.

In: the environment of the container, and the operator's directories of code. Out: the same, mended: no database that
Airflow refuses to start with, a configuration file that need not be written, and the operator's code on Python's path.
Must be imported before Airflow, and never read a secret.
"""

import os
import sys
import tempfile
from importlib.metadata import version

# What the supervisor names in the environment of a child, `import airflow` refuses; this one is never opened.
NO_DATABASE = "sqlite:////tmp/none.db"


def prepare(code_directories: list[str]) -> None:
    """Makes `import airflow` work, and work alike for whatever user the container runs as."""
    hide_programs()
    sys.path.extend(path for path in code_directories if path not in sys.path)

    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = NO_DATABASE
    os.environ.pop("AIRFLOW__CORE__SQL_ALCHEMY_CONN", None)
    for flag in ("TASK_EXECUTION_RUNTIME", "SCHEDULER_DAG_PARSING_RUNTIME"):
        # An image may have them on, and this package installed; containers start no containers.
        os.environ[f"AIRFLOW__CORE__{flag}"] = ""

    home = os.environ.get("AIRFLOW_HOME") or os.path.join(os.path.expanduser("~"), "airflow")
    if "AIRFLOW_CONFIG" not in os.environ and not os.path.exists(os.path.join(home, "airflow.cfg")):
        # Airflow would write one, with a key of its own in it, where this user may not write.
        descriptor, os.environ["AIRFLOW_CONFIG"] = tempfile.mkstemp(prefix="airflow-", suffix=".cfg")
        os.close(descriptor)


def hide_programs() -> None:
    """Takes the directory of our programs, which Python put first, off its path: DAG files must find none of them."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if path != here]


def refusal(host: str) -> str | None:
    """Why this image's Airflow cannot parse for a DAG processor of Airflow `host`, if it cannot."""
    image, other = image_minor(), minor_of(host)
    if image[0] == other[0] and image <= other:
        return None
    return (
        f"the image has Airflow {image[0]}.{image[1]}, the DAG processor {host}: a file is parsed by an"
        " image of the same or an earlier minor version. Name another image for this DAG file"
    )


def image_minor() -> tuple[int, int]:
    """The minor version of the Airflow in the image, without importing it."""
    return minor_of(version("apache-airflow"))


def minor_of(text: str) -> tuple[int, int]:
    """(3, 3) of 3.3 or 3.3.2."""
    major, minor = text.split(".")[:2]
    return int(major), int(minor)
