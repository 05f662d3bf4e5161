"""Compares a real bucket with the assumptions of this package; the command ``ci-check`` shows the result.

Each assumption is one entry in :mod:`.assumptions`.
"""

from __future__ import annotations

from airflow_provider_ci.check.finding import Verdict
from airflow_provider_ci.check.report import Report, Row
from airflow_provider_ci.check.run import MAX_REQUESTS, CheckInterrupted, Skip, check_bucket

__all__ = ["MAX_REQUESTS", "CheckInterrupted", "Report", "Row", "Skip", "Verdict", "check_bucket"]
