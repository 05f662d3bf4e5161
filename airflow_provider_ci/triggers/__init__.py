"""The triggers: one waits for jobs, one for a batch, one for objects. Import them from here."""

from __future__ import annotations

from airflow_provider_ci.triggers.batch import CIBatchTrigger
from airflow_provider_ci.triggers.jobs import CIJobTrigger
from airflow_provider_ci.triggers.objects import CIObjectsTrigger

__all__ = ["CIBatchTrigger", "CIJobTrigger", "CIObjectsTrigger"]
