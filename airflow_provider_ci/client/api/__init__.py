"""CIClient: one short method per operation of the service, one file per group of operations."""

from __future__ import annotations

from airflow_provider_ci.client.client import CIClient

__all__ = ["CIClient"]
