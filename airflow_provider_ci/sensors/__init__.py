"""The sensors: one waits for jobs, one for objects. Import them from here."""

from __future__ import annotations

from airflow_provider_ci.sensors.jobs import CIJobSensor, JobsFailedError
from airflow_provider_ci.sensors.objects import CIObjectsSensor

__all__ = ["CIJobSensor", "CIObjectsSensor", "JobsFailedError"]
