"""Times in which the service is unavailable; it lives in :mod:`airflow_provider_ci.jobs.outage`."""

from __future__ import annotations

from airflow_provider_ci.jobs.outage import Outage

__all__ = ["Outage"]
