"""The service's time, for the expiry of signatures and the ages of jobs."""

from __future__ import annotations

import time
from typing import Any, cast

from airflow_provider_ci.client import CIClient

CLOCK_ERROR_SECONDS = 1
"""How far our estimate of the service's clock can be ahead: its ``Date`` has whole seconds."""


def service_now(client: CIClient) -> float:
    """Unix seconds on the scale of the client's ``expires_at``; no request is sent."""
    clock: Any = getattr(client, "clock", None)
    return time.time() if clock is None else cast(float, clock.now())
