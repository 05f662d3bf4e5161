"""Waiting for jobs in Airflow's triggerer, where a wait holds no worker slot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_ci import compat
from airflow_provider_ci.batch import QueueStaysPausedError
from airflow_provider_ci.batch.waiting import BatchWatch
from airflow_provider_ci.batch.watch import JobWatch, Pace, cancel_waiting
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.hooks import CIHook
from airflow_provider_ci.progress import JobsProgress

_FIRST_LOOK_SECONDS = 5.0
"""A trigger that fires at once can meet Airflow 3.3.0 to 3.3.2 before it has noted the deferral."""
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
        if self.cancel_on_kill:
            await prepare_for_kill(self.task_instance)
        yield TriggerEvent(await self._outcome())  # type: ignore[no-untyped-call] # as above
        # Nothing may follow: a trigger that lives on gets on_kill although its task succeeded.

    async def on_kill(self) -> None:
        """Cancel what is still waiting, once Airflow confirms that a user ended the task.

        It asks first: a triggerer that was away for a while calls this for tasks that go on elsewhere.
        """
        if self.cancel_on_kill:
            await cancel_if_killed(self.task_instance, self._cancel)

    async def _cancel(self) -> None:
        with await self._client() as client:
            await asyncio.to_thread(cancel_waiting, client, self.job_ids)

    async def _outcome(self) -> dict[str, Any]:
        """The event. An exception would end the task, unexplained."""
        try:
            with await self._client() as client:
                return await self._wait(JobWatch(client, self.job_ids))
        except Exception as error:
            return self._event("error", self.job_ids, f"{type(error).__name__}: {error}")

    async def _wait(self, watch: JobWatch) -> dict[str, Any]:
        pace = Pace(shortest=min(2.0, self.poll_interval), longest=self.poll_interval)
        tell = JobsProgress(self.log, len(watch.pending))
        seconds = min(_FIRST_LOOK_SECONDS, self.poll_interval)
        while (left := self.deadline - time.time()) > 0:
            await asyncio.sleep(min(left, seconds))
            await asyncio.to_thread(watch.look_patiently)
            if not watch.pending:
                return self._event("done", ())
            tell(len(watch.pending))
            seconds = watch.wait_seconds(pace)
        return self._event("timeout", watch.pending)

    def _event(self, status: str, pending: Iterable[str], message: str = "") -> dict[str, Any]:
        return {"status": status, "message": message, "job_ids": self.job_ids, "pending": list(pending)}

    async def _client(self) -> CIClient:
        return await CIHook(self.conn_id, bucket=self.bucket, region=self.region).async_client()


class CIBatchTrigger(BaseTrigger):
    """Fires when a batch should be taken up again: most of its window has ended, or all of it.

    It reads from the batch's ledger which jobs those are. The event is
    ``{"status": "due" | "timeout" | "paused" | "error", "message", "pending", "deadline"}``.

    :param folder: of the batch in the bucket, with its ``/`` at the end.
    :param conn_id: the Airflow connection.
    :param bucket: takes the place of the connection's bucket.
    :param region: takes the place of the connection's region.
    :param poll_interval: seconds between two looks, at most.
    :param pause_seconds: how long a paused queue is waited for.
    :param deadline: Unix time of the end of the batch. It is absolute, so a restart grants no more time.
    :param cancel_on_kill: cancel what is still waiting when a user ends the task (Airflow 3.3 and newer).
    """

    def __init__(
        self,
        *,
        folder: str,
        conn_id: str,
        deadline: float,
        bucket: str | None = None,
        region: str | None = None,
        poll_interval: float = 30.0,
        pause_seconds: float = 600.0,
        cancel_on_kill: bool = True,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow leaves it untyped
        self.folder = folder
        self.conn_id = conn_id
        self.deadline = deadline
        self.bucket = bucket
        self.region = region
        self.poll_interval = poll_interval
        self.pause_seconds = pause_seconds
        self.cancel_on_kill = cancel_on_kill

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The trigger as plain JSON."""
        names = (
            *("folder", "conn_id", "deadline", "bucket", "region"),
            *("poll_interval", "pause_seconds", "cancel_on_kill"),
        )
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            name: getattr(self, name) for name in names
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the jobs until the batch is due; one event, then nothing more."""
        if self.cancel_on_kill:
            await prepare_for_kill(self.task_instance)
        status, message, pending = await self._outcome()
        values = {"status": status, "message": message, "pending": pending, "deadline": self.deadline}
        yield TriggerEvent(values)  # type: ignore[no-untyped-call] # as above
        # Nothing may follow: a trigger that lives on gets on_kill although its task succeeded.

    async def on_kill(self) -> None:
        """Cancel what is still waiting, once Airflow confirms that a user ended the task."""
        if self.cancel_on_kill:
            await cancel_if_killed(self.task_instance, self._cancel)

    async def _outcome(self) -> tuple[str, str, int]:
        """Status, message and pending jobs. An exception would end the task, unexplained."""
        try:
            with await self._client() as client:
                return await self._wait(await asyncio.to_thread(self._watch, client))
        except QueueStaysPausedError as error:
            return "paused", str(error), 0
        except Exception as error:
            return "error", f"{type(error).__name__}: {error}", 0

    async def _wait(self, watch: BatchWatch) -> tuple[str, str, int]:
        seconds = min(_FIRST_LOOK_SECONDS, self.poll_interval)
        tell = JobsProgress(self.log, watch.pending)
        while (left := self.deadline - time.time()) > 0:
            await asyncio.sleep(min(left, seconds))
            await asyncio.to_thread(watch.look)
            if watch.is_due:
                return "due", "", watch.pending
            tell(watch.pending)
            seconds = watch.wait_seconds()
        return "timeout", "", watch.pending

    def _watch(self, client: CIClient) -> BatchWatch:
        pace = Pace(shortest=min(2.0, self.poll_interval), longest=self.poll_interval)
        return BatchWatch(client, self.folder, pace=pace, pause_seconds=self.pause_seconds)

    async def _cancel(self) -> None:
        with await self._client() as client:
            watch = await asyncio.to_thread(self._watch, client)
            await asyncio.to_thread(watch.cancel)

    async def _client(self) -> CIClient:
        return await CIHook(self.conn_id, bucket=self.bucket, region=self.region).async_client()


async def prepare_for_kill(task_instance: Any) -> None:
    """Ask for the task's state once: a triggerer takes some seconds for its first question (7 with 3.3.2)."""
    if task_instance is not None and compat.triggers_hear_of_kills():
        await asyncio.to_thread(compat.was_killed_by_user, task_instance)


async def cancel_if_killed(task_instance: Any, cancel: Callable[[], Awaitable[None]]) -> None:
    """Cancel if somebody has ended the task, as Airflow sees it.

    The triggerer cancels a trigger again while its ``on_kill`` runs (seen with 3.3.2, some seconds later); a
    task of its own goes on all the same.
    """

    async def ask_and_cancel() -> None:
        if await asyncio.to_thread(compat.was_killed_by_user, task_instance):
            await cancel()

    if task_instance is None:
        return
    cancelling = asyncio.create_task(ask_and_cancel())
    _CANCELLING.add(cancelling)
    cancelling.add_done_callback(_CANCELLING.discard)
    await asyncio.shield(cancelling)
