"""The programs that run in the container, each started by the image's own python3 from /opt/airtight_airflow.

They may use the standard library and the image's own Airflow, and must never import the rest of this package: it is
not there.
"""
