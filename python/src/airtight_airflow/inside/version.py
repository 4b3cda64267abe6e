"""Says which Airflow the image has: `version.py`. Out: its version on stdout, or an error. Imports nothing of it."""

import sys
from importlib.metadata import PackageNotFoundError, version


def main() -> None:
    """Prints the version of the distribution that Python would import."""
    try:
        print(version("apache-airflow"))
    except PackageNotFoundError:
        sys.exit(f"the image has no Airflow: {sys.executable} finds no apache-airflow")


if __name__ == "__main__":
    main()
