"""``ci-check``: compares a real bucket with the assumptions of this package.

Each assumption is one entry in :mod:`.assumptions`. Needs no Airflow, except to read a connection.
"""

from __future__ import annotations

from airflow_provider_ci.check.finding import Verdict
from airflow_provider_ci.check.report import Report, Row
from airflow_provider_ci.check.run import MAX_REQUESTS, CheckInterrupted, Skip, check_bucket

__all__ = ["MAX_REQUESTS", "CheckInterrupted", "Report", "Row", "Skip", "Verdict", "check_bucket"]
