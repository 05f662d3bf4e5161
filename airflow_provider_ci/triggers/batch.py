"""The trigger that waits for a batch."""

from __future__ import annotations

import asyncio
from typing import Any

from airflow_provider_ci.batch import QueueStaysPausedError
from airflow_provider_ci.batch.run.parked import BatchWatch
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.jobs.watch import Pace
from airflow_provider_ci.tasks.progress import JobsProgress
from airflow_provider_ci.triggers.base import FIRST_LOOK_SECONDS
from airflow_provider_ci.triggers.kill import CancellingTrigger


class CIBatchTrigger(CancellingTrigger):
    """Fires when a task should continue its batch, because most or all jobs of the window have ended.

    It reads these jobs from the batch's ledger. The event is ``{"status": "due" | "timeout" |
    "paused" | "error", "message", "pending", "deadline"}``.

    :param folder: folder of the batch in the bucket, with its ``/`` at the end.
    :param claim: token of the claim that the trigger keeps valid while the batch waits.
    :param pause_seconds: how long to wait for a paused queue, in seconds.
    :param cancel_on_kill: cancel waiting jobs when a user ends the task (Airflow 3.3 and newer).
    :param shared: the arguments of :class:`CITrigger`; ``poll_interval`` is the longest time between
        two requests.
    """

    def __init__(
        self,
        *,
        folder: str,
        claim: str = "",
        pause_seconds: float = 600.0,
        cancel_on_kill: bool = True,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.folder = folder
        self.claim = claim
        self.pause_seconds = pause_seconds
        self.cancel_on_kill = cancel_on_kill

    async def _wait(self, client: CIClient) -> dict[str, Any]:
        try:
            # The client blocks. In the triggerer's event loop, it would delay all other triggers.
            return await self._look(await asyncio.to_thread(self._watch, client))
        # This error has a status of its own, because it makes the task fail. After other errors, the task
        # waits in place.
        except QueueStaysPausedError as error:
            return self._event("paused", str(error))

    async def _look(self, watch: BatchWatch) -> dict[str, Any]:
        seconds = min(FIRST_LOOK_SECONDS, self.poll_interval)
        tell = JobsProgress(self.log, watch.pending)
        while await self._sleep(seconds, lambda: tell(watch.pending)):
            await asyncio.to_thread(watch.look)
            tell(watch.pending)
            if watch.is_due:
                return self._event("due", pending=watch.pending)
            seconds = watch.wait_seconds()
        return self._event("timeout", pending=watch.pending)

    def _cancel(self, client: CIClient) -> None:
        self._watch(client).cancel()

    def _watch(self, client: CIClient) -> BatchWatch:
        pace = Pace(shortest=min(2.0, self.poll_interval), longest=self.poll_interval)
        return BatchWatch(client, self.folder, pace=pace, pause_seconds=self.pause_seconds, claim=self.claim)

    def _event(self, status: str, message: str = "", pending: int = 0) -> dict[str, Any]:
        return {"status": status, "message": message, "pending": pending, "deadline": self.deadline}
