"""What all triggers share: they wait in Airflow's triggerer, where a wait holds no worker slot."""

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

# apache/airflow issues 71580 and 72716: the scheduler marks a task as failed that resumes too early.
FIRST_LOOK_SECONDS = 5.0
"""A trigger that fires at once can meet Airflow 3.3.0 to 3.3.2 before it has noted the deferral."""
_TELL_SECONDS = 5.0
_PACKAGE = __name__.rpartition(".")[0]


class CITrigger(BaseTrigger):
    """Looks at a bucket of a ``tencent_ci`` connection, and fires once: at the latest at the deadline.

    :param deadline: Unix time of the end of the wait. It is absolute, so a restart grants no more time.
    :param tencent_ci_conn_id: the Airflow connection.
    :param bucket: takes the place of the connection's bucket.
    :param region: takes the place of the connection's region.
    :param poll_interval: seconds between two requests.
    :param note: plain JSON that comes back to the task as ``note`` of the event.
    :param conn_id: the connection in deferrals that an older version has stored.
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
        """The class and its constructor's arguments as plain JSON.

        Our own classes are named as users import them: a deferral that is stored outlives a move of the file.
        """
        module = type(self).__module__
        path = _PACKAGE if module.startswith(f"{_PACKAGE}.") else module
        own = [p.name for p in signature(type(self)).parameters.values() if p.kind is not p.VAR_KEYWORD]
        names = dict.fromkeys((*own, *self._SHARED))
        # conn_id is the old name of tencent_ci_conn_id: it is read, and no longer written.
        arguments = {name: getattr(self, name) for name in names if name != "conn_id"}
        if self.note is None:
            del arguments["note"]
        return f"{path}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; one event, then nothing more."""
        event = await self._outcome()
        if self.note is not None:
            # The templates of the task may render to another bucket by the time it goes on.
            place = {name: getattr(self, name) for name in ("tencent_ci_conn_id", "bucket", "region")}
            event = {**event, "note": self.note, "connection": place}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call] # as above
        # Nothing may follow: a trigger that lives on gets on_kill although its task succeeded (measured with
        # Airflow 3.3.2, two seconds later).

    async def _outcome(self) -> dict[str, Any]:
        """The event. An exception would end the task, unexplained."""
        try:
            with await self._client() as client:
                return await self._wait(client)
        # Airflow would raise TaskDeferralError in place of the task's own code, and a retry would start over.
        except Exception as error:
            return self._event("error", f"{type(error).__name__}: {error}")

    async def _client(self) -> CIClient:
        return await CIHook(self.tencent_ci_conn_id, bucket=self.bucket, region=self.region).async_client()

    async def _sleep(self, seconds: float, tell: Callable[[], object] = lambda: None) -> bool:
        """Sleep, but not beyond the deadline; false if the deadline has passed already.

        :param tell: called every few seconds of a long sleep, so that the log shows that something waits.
        """
        end = min(self.deadline, time.time() + seconds)
        is_in_time = self.deadline > time.time()
        while (left := end - time.time()) > 0:
            await asyncio.sleep(min(left, _TELL_SECONDS))
            tell()
        return is_in_time

    @abstractmethod
    async def _wait(self, client: CIClient) -> dict[str, Any]:
        """Look until the wait is over, or the deadline has passed; return the event."""

    @abstractmethod
    def _event(self, status: str, message: str = "") -> dict[str, Any]: ...
