"""The base class of all triggers. A trigger waits in Airflow's triggerer, where it holds no worker slot."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from inspect import signature
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_ci.client import CIClient
from airflow_provider_ci.hooks import CIHook

# apache/airflow issues 71580 and 72716: the scheduler marks a task as failed if the task resumes too early.
FIRST_LOOK_SECONDS = 5.0
"""Seconds before the first request: Airflow 3.3.0 to 3.3.2 must have recorded the deferral by then."""
_TELL_SECONDS = 5.0
_PACKAGE = __name__.rpartition(".")[0]


class CITrigger(BaseTrigger):
    """Watches a bucket of a ``tencent_ci`` connection, and fires once, at the deadline at the latest.

    :param deadline: Unix time at which the wait ends. The time is absolute, so a restart does not extend the
        wait.
    :param tencent_ci_conn_id: the Airflow connection.
    :param bucket: bucket to use in place of the connection's.
    :param region: region to use in place of the connection's.
    :param poll_interval: seconds between two requests.
    :param note: plain JSON that the event returns to the task as ``note``.
    :param conn_id: old name of ``tencent_ci_conn_id``, for deferrals that an older version has stored.
    """

    _SHARED = ("deadline", "tencent_ci_conn_id", "bucket", "region", "poll_interval", "note")

    def __init__(
        self,
        *,
        deadline: float,
        tencent_ci_conn_id: str = CIHook.default_conn_name,
        bucket: str | None = None,
        region: str | None = None,
        poll_interval: float = 30.0,
        note: dict[str, Any] | None = None,
        conn_id: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow leaves it untyped
        self.tencent_ci_conn_id = conn_id or tencent_ci_conn_id
        self.deadline = deadline
        self.bucket = bucket
        self.region = region
        self.poll_interval = poll_interval
        self.note = note

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class and the constructor's arguments as plain JSON.

        Classes of this package get the path from which users import them, so stored deferrals still work if a
        file moves.
        """
        module = type(self).__module__
        path = _PACKAGE if module.startswith(f"{_PACKAGE}.") else module
        own = [p.name for p in signature(type(self)).parameters.values() if p.kind is not p.VAR_KEYWORD]
        names = dict.fromkeys((*own, *self._SHARED))
        # conn_id is the old name of tencent_ci_conn_id: it is still read, but no longer written.
        arguments = {name: getattr(self, name) for name in names if name != "conn_id"}
        if self.note is None:
            del arguments["note"]
        return f"{path}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield exactly one event."""
        event = await self._outcome()
        if self.note is not None:
            # When the task continues, its templates may render to another bucket.
            place = {name: getattr(self, name) for name in ("tencent_ci_conn_id", "bucket", "region")}
            event = {**event, "note": self.note, "connection": place}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call] # as above
        # Nothing may follow the event: a trigger that keeps running gets on_kill although its task succeeded
        # (measured with Airflow 3.3.2, two seconds later).

    async def _outcome(self) -> dict[str, Any]:
        """Wait, and return the event. An exception would end the task unexplained, so it becomes an event."""
        try:
            with await self._client() as client:
                return await self._wait(client)
        # Airflow would raise TaskDeferralError in place of the task's own code, and a retry would start over.
        except Exception as error:
            return self._event("error", f"{type(error).__name__}: {error}")

    async def _client(self) -> CIClient:
        return await CIHook(self.tencent_ci_conn_id, bucket=self.bucket, region=self.region).async_client()

    async def _sleep(self, seconds: float, tell: Callable[[], object] = lambda: None) -> bool:
        """Sleep, but not beyond the deadline; return False if the deadline has already passed.

        :param tell: called every few seconds during a long sleep, so that the log shows that the trigger
            waits.
        """
        end = min(self.deadline, time.time() + seconds)
        is_in_time = self.deadline > time.time()
        while (left := end - time.time()) > 0:
            await asyncio.sleep(min(left, _TELL_SECONDS))
            tell()
        return is_in_time

    @abstractmethod
    async def _wait(self, client: CIClient) -> dict[str, Any]:
        """Poll until the wait is over, or the deadline has passed; return the event."""

    @abstractmethod
    def _event(self, status: str, message: str = "") -> dict[str, Any]: ...
