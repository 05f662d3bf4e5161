"""A local stand-in for Cloud Infinite and the buckets it works on; see docs/local.md.

::

    with LocalCI(folder) as local:
        ...  # a client with local.endpoint, local.secret_id, local.secret_key
"""

from __future__ import annotations

from airflow_provider_ci.local.server import DEFAULT_SECRET_ID, DEFAULT_SECRET_KEY, LocalCI, LocalCIError

__all__ = ["DEFAULT_SECRET_ID", "DEFAULT_SECRET_KEY", "LocalCI", "LocalCIError"]
