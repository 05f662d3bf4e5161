"""What all triggers share: they wait in Airflow's triggerer, where a wait holds no worker slot."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator
from inspect import signature
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_ci.client import CIClient
from airflow_provider_ci.hooks import CIHook

FIRST_LOOK_SECONDS = 5.0
"""A trigger that fires at once can meet Airflow 3.3.0 to 3.3.2 before it has noted the deferral."""
_PACKAGE = __name__.rpartition(".")[0]


class CITrigger(BaseTrigger):
    """Looks at a bucket of a ``tencent_ci`` connection, and fires once: at the latest at the deadline.

    :param conn_id: the Airflow connection.
    :param bucket: takes the place of the connection's bucket.
    :param region: takes the place of the connection's region.
    :param poll_interval: seconds between two looks.
    :param deadline: Unix time of the end of the wait. It is absolute, so a restart grants no more time.
    """

    def __init__(
        self, *, conn_id: str, deadline: float, bucket: str | None, region: str | None, poll_interval: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow leaves it untyped
        self.conn_id = conn_id
        self.deadline = deadline
        self.bucket = bucket
        self.region = region
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its constructor's arguments as plain JSON.

        Our own classes are named as users import them: a deferral that is stored outlives a move of the file.
        """
        module = type(self).__module__
        path = _PACKAGE if module.startswith(f"{_PACKAGE}.") else module
        names = signature(type(self)).parameters
        return f"{path}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; one event, then nothing more."""
        yield TriggerEvent(await self._outcome())  # type: ignore[no-untyped-call] # as above
        # Nothing may follow: a trigger that lives on gets on_kill although its task succeeded.

    async def _outcome(self) -> dict[str, Any]:
        """The event. An exception would end the task, unexplained."""
        try:
            with await self._client() as client:
                return await self._wait(client)
        except Exception as error:
            return self._event("error", f"{type(error).__name__}: {error}")

    async def _client(self) -> CIClient:
        return await CIHook(self.conn_id, bucket=self.bucket, region=self.region).async_client()

    async def _sleep(self, seconds: float) -> bool:
        """Sleep, though not beyond the deadline; false if that had passed before."""
        left = self.deadline - time.time()
        if left > 0:
            await asyncio.sleep(min(left, seconds))
        return left > 0

    @abstractmethod
    async def _wait(self, client: CIClient) -> dict[str, Any]:
        """Look until there is something to tell, or the deadline has passed; return the event."""

    @abstractmethod
    def _event(self, status: str, message: str = "") -> dict[str, Any]: ...
