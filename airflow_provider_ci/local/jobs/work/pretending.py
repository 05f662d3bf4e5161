"""Lets jobs succeed without doing any work, to measure everything around them."""

from __future__ import annotations

import asyncio

from airflow_provider_ci.local.jobs.jobs import Job
from airflow_provider_ci.local.jobs.work.processing import asked_for_failure, pretended
from airflow_provider_ci.local.jobs.work.scheduler import Scheduler

PAUSE_SECONDS = 0.02
"""Seconds during which jobs are collected to end together: a transaction costs as much as a few jobs."""

_AT_ONCE = 200


class PretendingScheduler(Scheduler):
    """Lets every waiting job succeed at once, whatever it asks for and whether or not its input exists."""

    _timer: asyncio.TimerHandle | None = None

    def _fill(self) -> None:
        if self._timer is None and self._jobs.queues_with_work():
            self._timer = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._end_many)

    def _end_many(self) -> None:
        self._timer = None
        if not self._stopping:
            self._try(self._end_waiting)

    def _end_waiting(self) -> None:
        jobs = [
            job for queue_id in self._open_queues() for job in self._jobs.next_waiting(queue_id, _AT_ONCE)
        ]
        with self._callbacks.transaction():
            for job in jobs:
                self._end(job)
        if jobs:
            self._fill()

    def _end(self, job: Job) -> None:
        now = self._traits.now()
        outcome = asked_for_failure(job, self._traits) or pretended(job)
        if self._jobs.start(job, now):
            self._callbacks.end(job, lambda: self._jobs.finish(job, outcome, now))
