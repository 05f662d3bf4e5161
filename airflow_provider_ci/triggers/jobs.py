"""The trigger that waits for jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from airflow_provider_ci.client import CIClient
from airflow_provider_ci.jobs import JobWatch, Pace, cancel_waiting
from airflow_provider_ci.progress import JobsProgress
from airflow_provider_ci.triggers.base import FIRST_LOOK_SECONDS
from airflow_provider_ci.triggers.kill import CancellingTrigger


class CIJobTrigger(CancellingTrigger):
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
        super().__init__(
            conn_id=conn_id, deadline=deadline, bucket=bucket, region=region, poll_interval=poll_interval
        )
        self.job_ids = list(job_ids)
        self.cancel_on_kill = cancel_on_kill

    async def _wait(self, client: CIClient) -> dict[str, Any]:
        watch = JobWatch(client, self.job_ids)
        pace = Pace(shortest=min(2.0, self.poll_interval), longest=self.poll_interval)
        tell = JobsProgress(self.log, len(watch.pending))
        seconds = min(FIRST_LOOK_SECONDS, self.poll_interval)
        while await self._sleep(seconds):
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
