"""CIClient: one short method per operation of the service, a file for each family of them."""

from __future__ import annotations

from airflow_provider_ci.client.api.client import CIClient

__all__ = ["CIClient"]
