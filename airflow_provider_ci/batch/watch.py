"""Waiting for jobs; it lives in :mod:`airflow_provider_ci.jobs`."""

from __future__ import annotations

from airflow_provider_ci.jobs.cancel import cancel_waiting
from airflow_provider_ci.jobs.in_flight import JobsInFlight
from airflow_provider_ci.jobs.pace import Pace
from airflow_provider_ci.jobs.watch import JobWatch

__all__ = ["JobWatch", "JobsInFlight", "Pace", "cancel_waiting"]
