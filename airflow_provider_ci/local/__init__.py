"""A local stand-in for Cloud Infinite and the buckets it works on; see docs/local.md.

::

    with LocalCI(folder) as local:
        ...  # a client with local.endpoint, local.secret_id, local.secret_key
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_ci.local.server import DEFAULT_SECRET_ID, DEFAULT_SECRET_KEY, LocalCI, LocalCIError

__all__ = ["DEFAULT_SECRET_ID", "DEFAULT_SECRET_KEY", "LocalCI", "LocalCIError"]


def __getattr__(name: str) -> object:
    """Import the server on first use: every converter process imports this package but needs no HTTP."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from airflow_provider_ci.local import server

    return getattr(server, name)
