"""CIHook: from an Airflow connection to a :class:`~airflow_provider_ci.client.CIClient`."""

from __future__ import annotations

from airflow_provider_ci.hooks.connection import ConnectionConfigError
from airflow_provider_ci.hooks.hook import CIHook

__all__ = ["CIHook", "ConnectionConfigError"]
