"""Waiting for jobs in Airflow's triggerer, where a wait holds no worker slot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_ci import compat
from airflow_provider_ci.batch.watch import JobWatch, Pace, cancel_waiting
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.hooks import CIHook

_CANCELLING: set[asyncio.Task[None]] = set()
"""Holds the tasks that cancel jobs: the event loop alone does not keep a task alive."""


class CIJobTrigger(BaseTrigger):
    """Fires once when all the jobs have ended, or at the deadline.

    The event is ``{"status": "done" | "timeout" | "error", "message", "job_ids", "pending"}``; the
    task that it resumes asks for the jobs itself, so that no result passes through Airflow's database.

    :param job_ids: the jobs to wait for.
    :param conn_id: the Airflow connection.
    :param bucket: takes the place of the connection's bucket.
    :param region: takes the place of the connection's region.
    :param poll_interval: seconds between two looks, at most; the first ones follow each other sooner.
    :param deadline: Unix time of the end of the wait. It is absolute, so a restart grants no more time.
    :param cancel_on_kill: cancel what is still waiting when a user ends the task (Airflow 3.3 and newer).
    """

    def __init__(
        self,
        *,
        job_ids: Sequence[str],
        conn_id: str,
        deadline: float,
        bucket: str | None = None,
        region: str | None = None,
        poll_interval: float = 30.0,
        cancel_on_kill: bool = True,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow leaves it untyped
        self.job_ids = list(job_ids)
        self.conn_id = conn_id
        self.deadline = deadline
        self.bucket = bucket
        self.region = region
        self.poll_interval = poll_interval
        self.cancel_on_kill = cancel_on_kill

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The trigger as plain JSON."""
        names = ("job_ids", "conn_id", "deadline", "bucket", "region", "poll_interval", "cancel_on_kill")
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            name: getattr(self, name) for name in names
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the jobs until all have ended; one event, then nothing more."""
        yield TriggerEvent(await self._outcome())  # type: ignore[no-untyped-call] # as above
        # Nothing may follow: a trigger that lives on gets on_kill although its task succeeded.

    async def on_kill(self) -> None:
        """Cancel what is still waiting, once Airflow confirms that a user ended the task.

        It asks first: a triggerer that was away for a while calls this for tasks that go on elsewhere.
        """
        if not self.cancel_on_kill or self.task_instance is None:
            return
        # The triggerer cancels a trigger again while its on_kill runs (seen with 3.3.2, some seconds later);
        # a task of its own goes on all the same.
        cancelling = asyncio.create_task(self._cancel_if_killed())
        _CANCELLING.add(cancelling)
        cancelling.add_done_callback(_CANCELLING.discard)
        await asyncio.shield(cancelling)

    async def _cancel_if_killed(self) -> None:
        if await asyncio.to_thread(compat.was_killed_by_user, self.task_instance):
            with await self._client() as client:
                await asyncio.to_thread(cancel_waiting, client, self.job_ids)

    async def _outcome(self) -> dict[str, Any]:
        """The event. An exception would end the task before it could say what is wrong."""
        try:
            with await self._client() as client:
                return await self._wait(JobWatch(client, self.job_ids))
        except Exception as error:
            return self._event("error", self.job_ids, f"{type(error).__name__}: {error}")

    async def _wait(self, watch: JobWatch) -> dict[str, Any]:
        pace = Pace(shortest=min(2.0, self.poll_interval), longest=self.poll_interval)
        while True:
            await asyncio.to_thread(watch.look_patiently)
            if not watch.pending:
                return self._event("done", ())
            left = self.deadline - time.time()
            if left <= 0:
                return self._event("timeout", watch.pending)
            await asyncio.sleep(min(left, watch.wait_seconds(pace)))

    def _event(self, status: str, pending: Iterable[str], message: str = "") -> dict[str, Any]:
        return {"status": status, "message": message, "job_ids": self.job_ids, "pending": list(pending)}

    async def _client(self) -> CIClient:
        return await CIHook(self.conn_id, bucket=self.bucket, region=self.region).async_client()
