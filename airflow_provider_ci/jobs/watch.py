"""Waiting for many jobs with few requests."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from airflow_provider_ci.client import CIClient, CIError, Job
from airflow_provider_ci.jobs.in_flight import JobsInFlight
from airflow_provider_ci.jobs.kinds import JobType, type_of_job_id
from airflow_provider_ci.jobs.pace import Pace

__all__ = ["JobWatch", "JobsInFlight", "Pace"]

log = logging.getLogger(__name__)


class JobWatch:
    """Waits for jobs that are known by their ids only, of any type.

    :raises ValueError: one of them is no id of a document or picture job.
    """

    def __init__(self, client: CIClient, job_ids: Iterable[str]) -> None:
        self._client = client
        self._started = time.monotonic()
        self._in_flight: dict[str, JobsInFlight] = {}
        self.pending: dict[str, JobType] = {job_id: type_of_job_id(job_id) for job_id in job_ids}
        """The jobs that have not ended yet, as far as is known."""
        self.finished: dict[str, Job] = {}
        """The jobs that have ended."""

    def look(self) -> None:
        """Read once which jobs have ended.

        :raises NotFoundError: the service does not know one of the jobs (it keeps them for a month), and has
            not for a minute.
        """
        for job_type in {job_type.tag: job_type for job_type in self.pending.values()}.values():
            self._look_at(job_type)

    def _look_at(self, job_type: JobType) -> None:
        in_flight = self._in_flight.setdefault(job_type.tag, JobsInFlight(self._client, job_type))
        of_type = dict.fromkeys(job_id for job_id, found in self.pending.items() if found is job_type)
        for job in in_flight.ended(of_type):
            del self.pending[job.job_id]
            self.finished[job.job_id] = job
        for error in in_flight.forgotten.values():
            raise error

    def look_patiently(self) -> None:
        """As :meth:`look`, but while the service is unavailable, leave it to the next look."""
        try:
            self.look()
        except CIError as error:
            if not error.is_retryable:
                raise
            log.warning("the service is unavailable, still waiting: %s", error)

    def wait_seconds(self, pace: Pace) -> float:
        """Seconds until the next look."""
        elapsed = time.monotonic() - self._started
        return pace.wait_seconds(
            pending=len(self.pending), finished=len(self.finished), elapsed_seconds=elapsed
        )
