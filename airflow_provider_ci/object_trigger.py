"""Waiting for objects in Airflow's triggerer, where a wait holds no worker slot."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_ci.batch.arrivals import Arrival
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.hooks import CIHook

log = logging.getLogger(__name__)


class CIObjectsTrigger(BaseTrigger):
    """Fires once when the objects of a selection have arrived, or at the deadline.

    The event is ``{"status": "done" | "timeout" | "error", "message", "found"}``.

    :param arrival: what to wait for, as ``Arrival.to_json`` gives it.
    :param conn_id: the Airflow connection.
    :param bucket: takes the place of the connection's bucket.
    :param region: takes the place of the connection's region.
    :param poll_interval: seconds between two looks.
    :param first_wait: seconds before the first one, as the sensor has just looked.
    :param deadline: Unix time of the end of the wait. It is absolute, so a restart grants no more time.
    """

    def __init__(
        self,
        *,
        arrival: Mapping[str, Any],
        conn_id: str,
        deadline: float,
        bucket: str | None = None,
        region: str | None = None,
        poll_interval: float = 60.0,
        first_wait: float = 60.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow leaves it untyped
        self.arrival = dict(arrival)
        self.conn_id = conn_id
        self.deadline = deadline
        self.bucket = bucket
        self.region = region
        self.poll_interval = poll_interval
        self.first_wait = first_wait

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The trigger as plain JSON."""
        names = ("arrival", "conn_id", "deadline", "bucket", "region", "poll_interval", "first_wait")
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            name: getattr(self, name) for name in names
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the objects are there; one event, then nothing more."""
        yield TriggerEvent(await self._outcome())  # type: ignore[no-untyped-call] # as above
        # Nothing may follow: a trigger that lives on gets on_kill although its task succeeded.

    async def _outcome(self) -> dict[str, Any]:
        """The event. An exception would end the task before it could say what is wrong."""
        try:
            with await CIHook(self.conn_id, bucket=self.bucket, region=self.region).async_client() as client:
                return await self._wait(client, Arrival.from_json(self.arrival))
        except Exception as error:
            return _event("error", f"{type(error).__name__}: {error}")

    async def _wait(self, client: CIClient, arrival: Arrival) -> dict[str, Any]:
        wait_seconds = self.first_wait
        while (left := self.deadline - time.time()) > 0:
            await asyncio.sleep(min(left, wait_seconds))
            seen = await asyncio.to_thread(arrival.look_patiently, client)
            if seen is not None:
                missing = arrival.missing(seen)
                if not missing:
                    return _event("done", found=seen.to_json())
                log.info("still waiting: %s", missing)
            jitter = random.uniform(0.9, 1.1)  # noqa: S311 no secret: many sensors are not to look at once
            wait_seconds = arrival.wait_seconds(seen, self.poll_interval * jitter)
        return _event("timeout")


def _event(status: str, message: str = "", found: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"status": status, "message": message, "found": dict(found or {})}
