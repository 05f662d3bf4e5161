"""The hook: creates a :class:`~airflow_provider_ci.client.CIClient` from an Airflow connection."""

from __future__ import annotations

from airflow_provider_ci.hooks.connection import ConnectionConfigError
from airflow_provider_ci.hooks.hook import CIHook

__all__ = ["CIHook", "ConnectionConfigError"]
