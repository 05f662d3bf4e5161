"""The service's time, for the expiry of signatures and the ages of jobs."""

from __future__ import annotations

import time
from typing import Any, cast

from airflow_provider_ci.client import CIClient

CLOCK_ERROR_SECONDS = 1
"""Seconds by which our estimate of the service's clock may be ahead; ``Date`` has whole seconds."""


def service_now(client: CIClient) -> float:
    """Return the service's time in Unix seconds, as for the client's ``expires_at``, without a request."""
    clock: Any = getattr(client, "clock", None)
    return time.time() if clock is None else cast(float, clock.now())
