"""The trigger that waits for objects."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from airflow_provider_ci.batch.sources.arrivals import Arrival
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.tasks.progress import immediate_pace
from airflow_provider_ci.triggers.base import CITrigger


class CIObjectsTrigger(CITrigger):
    """Fires once when the objects of a selection have arrived, or at the deadline.

    The event is ``{"status": "done" | "timeout" | "error", "message", "found"}``.

    :param arrival: what to wait for, in the form that ``Arrival.to_json`` returns.
    :param first_wait: seconds before the first listing, because the sensor has just made one.
    :param shared: the arguments of :class:`CITrigger`.
    """

    def __init__(self, *, arrival: Mapping[str, Any], first_wait: float = 60.0, **shared: Any) -> None:
        super().__init__(**{"poll_interval": 60.0, **shared})
        self.arrival = dict(arrival)
        self.first_wait = first_wait

    async def _wait(self, client: CIClient) -> dict[str, Any]:
        arrival = Arrival.from_json(self.arrival)
        pace, missing = immediate_pace(), "no look at the bucket since the task was deferred"
        wait_seconds = self.first_wait

        def tell() -> None:
            if pace.is_time():
                self.log.info("still waiting: %s", missing)

        while await self._sleep(wait_seconds, tell):
            # The client blocks. In the triggerer's event loop, it would delay all other triggers.
            seen = await asyncio.to_thread(arrival.look_patiently, client)
            if seen is not None:
                missing = arrival.missing(seen)
                if not missing:
                    return self._event("done", found=seen.to_json())
                tell()
            jitter = random.uniform(0.9, 1.1)  # noqa: S311 no secret: many sensors are not to look at once
            wait_seconds = arrival.wait_seconds(seen, self.poll_interval * jitter)
        return self._event("timeout")

    def _event(
        self, status: str, message: str = "", found: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return {"status": status, "message": message, "found": dict(found or {})}
