"""Waits for many jobs with few requests."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from datetime import datetime

from airflow_provider_ci.client import CIClient, CIError, Job
from airflow_provider_ci.jobs.in_flight import UNKNOWN_SECONDS, JobsInFlight
from airflow_provider_ci.jobs.kinds import JobType, type_of_job_id
from airflow_provider_ci.jobs.pace import Pace

__all__ = ["JobWatch", "JobsInFlight", "Pace"]

_UNKNOWN_SECONDS = 10.0
"""How long a job may be unknown to the service, in seconds, if the time of its submission is unknown."""

log = logging.getLogger(__name__)


class JobWatch:
    """Waits for jobs of any type, of which only the ids need to be known.

    :param created: for each job id, the time when the service created the job, if known.
    :raises ValueError: an id is not a job id.
    """

    def __init__(
        self, client: CIClient, job_ids: Iterable[str], *, created: Mapping[str, datetime] | None = None
    ) -> None:
        self._client = client
        self._created = created or {}
        self._started = time.monotonic()
        self._in_flight: dict[str, JobsInFlight] = {}
        self.pending: dict[str, JobType] = {job_id: type_of_job_id(job_id) for job_id in job_ids}
        """The jobs that had not ended at the last poll."""
        self.finished: dict[str, Job] = {}
        """The jobs that have ended."""

    def look(self) -> None:
        """Poll once which jobs have ended.

        :raises NotFoundError: the service does not know one of the jobs; it keeps jobs for a month.
        """
        for in_flight in self._look():
            for error in in_flight.unknown.values():
                raise error

    def look_patiently(self) -> None:
        """Poll like :meth:`look`, but tolerate an unavailable service: the next poll tries again.

        It also tolerates that the service does not know a new job for some seconds.
        """
        try:
            for in_flight in self._look():
                for error in in_flight.forgotten.values():
                    raise error
        except CIError as error:
            if not error.is_retryable:
                raise
            log.warning("the service is unavailable, still waiting: %s", error)

    def _look(self) -> list[JobsInFlight]:
        looked = []
        for job_type in {job_type.tag: job_type for job_type in self.pending.values()}.values():
            in_flight = self._of_type(job_type)
            of_type = [job_id for job_id, found in self.pending.items() if found is job_type]
            for job in in_flight.ended({job_id: self._created.get(job_id) for job_id in of_type}):
                del self.pending[job.job_id]
                self.finished[job.job_id] = job
            looked.append(in_flight)
        return looked

    def _of_type(self, job_type: JobType) -> JobsInFlight:
        if job_type.tag not in self._in_flight:
            # If the creation times are unknown, the job may not be new: do not wait so long for a wrong id.
            unknown_seconds = UNKNOWN_SECONDS if self._created else _UNKNOWN_SECONDS
            self._in_flight[job_type.tag] = JobsInFlight(
                self._client, job_type, unknown_seconds=unknown_seconds
            )
        return self._in_flight[job_type.tag]

    def wait_seconds(self, pace: Pace) -> float:
        """Return the seconds until the next poll."""
        elapsed = time.monotonic() - self._started
        return pace.wait_seconds(
            pending=len(self.pending), finished=len(self.finished), elapsed_seconds=elapsed
        )
