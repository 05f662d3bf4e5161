"""The trigger that waits for jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from airflow_provider_ci.client import CIClient
from airflow_provider_ci.jobs import JobWatch, Pace, cancel_waiting
from airflow_provider_ci.tasks.progress import JobsProgress
from airflow_provider_ci.triggers.base import FIRST_LOOK_SECONDS
from airflow_provider_ci.triggers.kill import CancellingTrigger


class CIJobTrigger(CancellingTrigger):
    """Fires once when all the jobs have ended, or at the deadline.

    The event is ``{"status": "done" | "timeout" | "error", "message", "job_ids", "pending"}``;
    the resumed task reads the jobs itself, so that no result passes through Airflow's database.

    :param job_ids: the jobs to wait for.
    :param cancel_on_kill: cancel waiting jobs when a user ends the task (Airflow 3.3 and newer).
    :param shared: the arguments of :class:`CITrigger`; ``poll_interval`` is the longest time between two
        requests; the first requests follow at shorter intervals.
    """

    def __init__(self, *, job_ids: Sequence[str], cancel_on_kill: bool = True, **shared: Any) -> None:
        super().__init__(**shared)
        self.job_ids = list(job_ids)
        self.cancel_on_kill = cancel_on_kill

    async def _wait(self, client: CIClient) -> dict[str, Any]:
        watch = JobWatch(client, self.job_ids)
        pace = Pace(shortest=min(2.0, self.poll_interval), longest=self.poll_interval)
        tell = JobsProgress(self.log, len(watch.pending))
        seconds = min(FIRST_LOOK_SECONDS, self.poll_interval)
        while await self._sleep(seconds, lambda: tell(len(watch.pending))):
            # The client blocks. In the triggerer's event loop, it would delay all other triggers.
            await asyncio.to_thread(watch.look_patiently)
            if not watch.pending:
                return self._event("done", pending=())
            tell(len(watch.pending))
            seconds = watch.wait_seconds(pace)
        return self._event("timeout", pending=watch.pending)

    def _cancel(self, client: CIClient) -> None:
        cancel_waiting(client, self.job_ids)

    def _event(self, status: str, message: str = "", pending: Iterable[str] | None = None) -> dict[str, Any]:
        left = self.job_ids if pending is None else list(pending)
        return {"status": status, "message": message, "job_ids": self.job_ids, "pending": left}
