"""Submits many jobs side by side, and finds the jobs of submissions whose response was lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event
from typing import Any

from airflow_provider_ci.batch.errors import concerns_one_object
from airflow_provider_ci.batch.ledger.state import Attempt
from airflow_provider_ci.client import (
    CIClient,
    CIError,
    Job,
    JobState,
    RequestExpiredError,
    SubmissionUnknownError,
)
from airflow_provider_ci.jobs.kinds import JobType, matches_operation
from airflow_provider_ci.jobs.matching import user_data_matches

log = logging.getLogger(__name__)

TIME_SLACK = timedelta(minutes=1)
"""Maximum difference between the order of submissions and the service's creation times."""
_OLDER_JOBS = 100
"""Number of older jobs in a row after which reading a listing stops. A few older jobs prove nothing, because
jobs of others can be out of order."""
_IN_FLIGHT = (JobState.SUBMITTED, JobState.RUNNING, JobState.PAUSE)


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A submission whose response was lost, with the end of its signature in service time."""

    error: SubmissionUnknownError
    expires_at: float


Outcome = Job | Unconfirmed | CIError | ValueError | None
"""The outcome of a submission: the job, an error, or None when it was not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitter:
    """Submits the jobs of one plan, each with a UserData that names the plan, the object and the attempt."""

    client: CIClient
    job_type: JobType
    operation: Any
    """None while only the jobs of an older plan are waited for."""
    token: str
    """Of the plan."""
    queue_id: str | None
    """Queue to submit to; None for the default queue."""
    listed_queue_id: str | None
    """Queue whose jobs are listed."""
    expires_at: Callable[[], float]
    """Service time after which the service must refuse a submission that is sent now."""
    not_before: float
    """Service time before which none of the plan's jobs can have been created."""
    options: dict[str, Any]
    """More arguments of the client's submit method: output bucket and region, job level, callback."""

    def submit(self, attempt: Attempt, expires_at: float) -> Job:
        """Submit one job.

        :raises SubmissionUnknownError: the service may have taken it.
        :raises RequestExpiredError: it was not sent in time.
        :raises CIError: the service did not take it.
        """
        return self.job_type.submit(
            self.client,
            attempt.planned.key,
            attempt.planned.output_key,
            self.operation,
            queue_id=self.queue_id,
            user_data=self.mark(attempt),
            expires_at=expires_at,
            **self.options,
        )

    def submit_all(
        self, attempts: Sequence[Attempt], executor: ThreadPoolExecutor, *, may_continue: Callable[[], bool]
    ) -> Iterator[tuple[Attempt, Outcome]]:
        """Submit side by side; each attempt comes back, in order, with its outcome.

        After a lost response, or a refusal that concerns more than one object, nothing more is sent: a
        thousand attempts at an unavailable service would take hours.
        """
        is_halted = Event()

        def outcome(attempt: Attempt) -> Outcome:
            if is_halted.is_set() or not may_continue():
                return None
            expires_at = self.expires_at()
            try:
                return self.submit(attempt, expires_at)
            except RequestExpiredError:
                return None
            except SubmissionUnknownError as error:
                is_halted.set()
                return Unconfirmed(error, expires_at)
            except (CIError, ValueError) as error:
                if not concerns_one_object(error):
                    is_halted.set()
                return error

        yield from zip(attempts, executor.map(outcome, attempts), strict=True)

    def find(self, attempts: Iterable[Attempt]) -> dict[Attempt, Job]:
        """The jobs of unconfirmed submissions, as far as the service took them.

        They are matched by UserData where the service echoes it, otherwise by input, output and operation.
        The listing goes back only as far as the first of the submissions.
        """
        missing = list(attempts)
        found: dict[Attempt, Job] = {}
        if not missing:
            return found
        for job in self.newest_jobs(_earliest(missing)):
            attempt = next((each for each in missing if self.is_job_of(job, each)), None)
            if attempt is not None:
                found[attempt] = job
                missing.remove(attempt)
                if not missing:
                    break
        return found

    def is_job_of(self, job: Job, attempt: Attempt) -> bool:
        """Whether a submission created this job."""
        says = user_data_matches(job, self.mark(attempt))
        if says is not None:
            return says
        return self.may_be_ours(job) and keys_of_job(job) == keys_of(attempt)

    def may_be_ours(self, job: Job) -> bool:
        """Whether a job without UserData can be one of this plan."""
        if job.state in (JobState.FAILED, JobState.CANCEL):
            return False  # an earlier attempt may have made it
        is_too_old = job.created_at is not None and job.created_at.timestamp() < int(self.not_before)
        return not is_too_old and self.matches(job)

    def matches(self, job: Job) -> bool:
        """Whether a job does the operation of this batch."""
        return self.operation is None or matches_operation(job, self.operation)

    def newest_jobs(self, look_back_to: datetime | None) -> Iterator[Job]:
        """The jobs that were not created before this moment of the service's clock, newest first."""
        oldest = None if look_back_to is None else look_back_to - TIME_SLACK
        older = 0
        jobs = self.job_type.list(
            self.client, queue_id=self.listed_queue_id, order="Desc", created_after=oldest
        )
        for job in jobs:
            if oldest is not None and job.created_at is not None and job.created_at < oldest:
                older += 1
                if older == _OLDER_JOBS:
                    return
            else:
                older = 0
                yield job

    def jobs_in_flight(self) -> Iterator[Job]:
        """All jobs of the queue that have not ended."""
        yield from self.job_type.list(self.client, queue_id=self.listed_queue_id, states=_IN_FLIGHT)

    def mark(self, attempt: Attempt) -> str:
        """The UserData of a submission."""
        return f"{self.token}-{attempt.planned.index}-{attempt.number}"

    def read_mark(self, user_data: str) -> tuple[int, int] | None:
        """Index and number of the submission with this UserData; None if it is not one of this plan."""
        token, _, rest = user_data.partition("-")
        index, _, number = rest.partition("-")
        if token != self.token or not (index.isdecimal() and number.isdecimal()):
            return None
        return int(index), int(number)


def keys_of(attempt: Attempt) -> tuple[str, str]:
    """Input and output key by which a job without UserData is recognized."""
    return attempt.planned.key, attempt.planned.output_key


def keys_of_job(job: Job) -> tuple[str, str]:
    """The same of a job; the service was seen to put a slash before keys."""
    return job.input_key.removeprefix("/"), job.output_key.removeprefix("/")


def first_output_of(output_key: str) -> str:
    """The first output of a job with this output key; keys of planned objects hold no placeholders."""
    for name in ("Number", "Page", "SheetID"):
        output_key = output_key.replace(f"${{{name}}}", "1")
    return output_key.removeprefix("/")


def _earliest(attempts: Iterable[Attempt]) -> datetime | None:
    moments = [attempt.look_back_to for attempt in attempts]
    return None if None in moments else min(moment for moment in moments if moment)
