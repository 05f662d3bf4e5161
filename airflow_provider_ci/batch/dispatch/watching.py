"""Watches the jobs of a batch, of all types and in all of its queues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_ci.batch.dispatch.queues import Queues
from airflow_provider_ci.client import CIClient, Job
from airflow_provider_ci.jobs.in_flight import JobsInFlight
from airflow_provider_ci.jobs.kinds import JobType
from airflow_provider_ci.jobs.queue_pause import PauseWatch


@dataclass(frozen=True, slots=True)
class Watched:
    """A job to watch."""

    job_type: JobType
    queue_id: str
    """Queue of the job; empty if it is unknown."""
    created_at: datetime | None


@dataclass(slots=True)
class _QueueWatch:
    jobs: JobsInFlight
    pauses: PauseWatch
    pending: dict[str, datetime | None] = field(default_factory=dict)


class JobWatches:
    """Reads one listing of jobs for each queue, and the state of the queue if no job ends.

    :param pause_seconds: maximum time to wait for a paused queue, in seconds.
    :param every_seconds: seconds without an ended job after which the state of a queue is read.
    """

    def __init__(
        self, client: CIClient, queues: Queues, *, pause_seconds: float, every_seconds: float
    ) -> None:
        self._client = client
        self._queues = queues
        self._pause_seconds = pause_seconds
        self._every_seconds = every_seconds
        self._watches: dict[tuple[str, str | None], _QueueWatch] = {}
        self._ended: dict[tuple[str, str | None], int] = {}
        self.forgotten: list[str] = []
        """Ids of jobs that the service no longer knew at the last call of :meth:`ended`."""

    def ended(self, running: Mapping[str, Watched]) -> list[Job]:
        """The jobs that have ended.

        :raises CIError: the service is unavailable, or refuses to show jobs.
        """
        self._divide(running)
        self.forgotten, self._ended = [], {}
        found: list[Job] = []
        for place, watch in self._watches.items():
            if watch.pending:
                ended = watch.jobs.ended(watch.pending)
                found += ended
                self._ended[place] = len(ended)
                self.forgotten += watch.jobs.forgotten
                # look_for_pauses() reads the state only of queues in which jobs are left.
                for job_id in (*(job.job_id for job in ended), *watch.jobs.forgotten):
                    watch.pending.pop(job_id, None)
        return found

    def look_for_pauses(self) -> None:
        """Read the state of queues in which no job has ended for a while.

        :raises QueueStaysPausedError: a queue has been paused for too long.
        """
        for place, watch in self._watches.items():
            watch.pauses.look(watch.pending, is_moving=bool(self._ended.get(place)))

    def counts(self, job_type: JobType) -> tuple[dict[str | None, int], dict[str | None, int]]:
        """How many jobs of a type each queue has, and how many had ended at the last call."""
        of_type = {queue: watch for (tag, queue), watch in self._watches.items() if tag == job_type.tag}
        in_flight = {queue: len(watch.pending) for queue, watch in of_type.items()}
        return in_flight, {queue: self._ended.get((job_type.tag, queue), 0) for queue in of_type}

    def _divide(self, running: Mapping[str, Watched]) -> None:
        for watch in self._watches.values():
            # A queue without jobs keeps its watch, which stores where to continue the listing.
            watch.pending = {}
        for job_id, job in running.items():
            queue_id = self._queues.of_job(job.job_type, job.queue_id)
            self._watch(job.job_type, queue_id).pending[job_id] = job.created_at

    def _watch(self, job_type: JobType, queue_id: str | None) -> _QueueWatch:
        place = job_type.tag, queue_id
        if place not in self._watches:
            pauses = PauseWatch(
                self._client,
                job_type,
                limit_seconds=self._pause_seconds,
                every_seconds=self._every_seconds,
                queue_id=queue_id,
            )
            self._watches[place] = _QueueWatch(JobsInFlight(self._client, job_type, queue_id), pauses)
        return self._watches[place]
