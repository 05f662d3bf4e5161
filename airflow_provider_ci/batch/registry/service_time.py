"""The service's clock, read with as few requests as the client allows."""

from __future__ import annotations

import time
from typing import Any

from airflow_provider_ci.client import CIClient, ObjectInfo


def service_now(client: CIClient) -> float:
    """Unix seconds by the service's clock; costs a request if the client does not track that clock."""
    clock: Any = getattr(client, "clock", None)
    return float(clock.now()) if clock else client.server_time().timestamp()


def expiry_now(client: CIClient) -> float:
    """The current time, on the scale of ``expires_at``; costs no request."""
    clock: Any = getattr(client, "clock", None)
    return float(clock.now()) if clock else time.time()


def written_at(info: ObjectInfo) -> float:
    """When the service responded to a PUT, by its own clock (Unix seconds)."""
    date: float | None = getattr(info, "date", None)
    return info.last_modified.timestamp() if date is None else date
