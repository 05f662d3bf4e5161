"""Submits many jobs in parallel, and finds the jobs of submissions whose response was lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from typing import Any

from airflow_provider_ci.batch.dispatch.operations import Operations
from airflow_provider_ci.batch.dispatch.queues import Queues, QueueShares
from airflow_provider_ci.batch.dispatch.watching import JobWatches, Watched
from airflow_provider_ci.batch.errors import concerns_one_object
from airflow_provider_ci.batch.ledger.state import Attempt, RunningJob
from airflow_provider_ci.batch.planning.outputs.template import first_output_of
from airflow_provider_ci.batch.planning.planned import PlannedObject
from airflow_provider_ci.client import (
    CIClient,
    CIError,
    Job,
    JobState,
    QueuePausedError,
    RequestExpiredError,
    SubmissionUnknownError,
)
from airflow_provider_ci.jobs.kinds import JobType, matches_operation, type_of_operation
from airflow_provider_ci.jobs.matching import user_data_matches

__all__ = ["Submitter", "Unconfirmed", "first_output_of", "keys_of", "keys_of_job"]

log = logging.getLogger(__name__)

TIME_SLACK = timedelta(minutes=1)
"""Maximum time by which the service's creation times may deviate from the order of submissions."""
_OLDER_JOBS = 100
"""Number of older jobs in a row after which reading a listing stops. A few older jobs prove nothing, because
jobs of other programs can be listed out of order."""
_FULL = "QueueSaturated"
# Pause is the state of jobs that wait in a paused queue. They run once the queue is active again.
_IN_FLIGHT = (JobState.SUBMITTED, JobState.RUNNING, JobState.PAUSE)


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A submission whose response was lost, and the service time at which its signature expires."""

    error: SubmissionUnknownError
    expires_at: float


Outcome = Job | Unconfirmed | CIError | ValueError | None
"""The outcome of a submission: the job, a lost response, an error, or None if nothing was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitter:
    """Submits the jobs of one plan, each with a UserData that names the plan, the object and the attempt."""

    client: CIClient
    operations: Operations
    """What the job of each line does."""
    queues: Queues
    """Queues to submit jobs to and to list jobs from."""
    token: str
    """Token of the plan."""
    expires_at: Callable[[], float]
    """Returns the service time, in Unix seconds, at which a submission that is sent now expires."""
    not_before: float
    """Service time, in Unix seconds, before which none of the plan's jobs can have been created."""
    options: dict[str, Any]
    """More arguments of the client's submit method: output bucket and region, job level, callback."""
    _shares: dict[str, QueueShares] = field(default_factory=dict)

    def submit(self, attempt: Attempt, expires_at: float, queue_id: str | None = None) -> Job:
        """Submit one job.

        :raises SubmissionUnknownError: the response was lost; the service may have created the job.
        :raises RequestExpiredError: the request was not sent before it expired.
        :raises SecretError: a secret that the job needs cannot be looked up.
        :raises CIError: the service did not create the job.
        """
        planned = attempt.planned
        options = self.options
        if planned.job_level is not None:
            options = {**options, "job_level": planned.job_level}
        return self.operations.type_of(planned).submit(
            self.client,
            planned.read_key,
            planned.output_key,
            self.operations.to_send(planned),
            queue_id=queue_id,
            user_data=self.mark(attempt),
            expires_at=expires_at,
            **options,
        )

    def submit_all(
        self, attempts: Sequence[Attempt], executor: ThreadPoolExecutor, *, may_continue: Callable[[], bool]
    ) -> Iterator[tuple[Attempt, Outcome]]:
        """Submit in parallel; yield each attempt, in order, with its outcome.

        After a lost response, or a refusal that concerns more than one object, nothing more is sent: a
        thousand attempts at an unavailable service would take hours. A full or paused queue does not stop
        jobs for other queues.
        """
        is_halted = Event()
        # Before the threads start: in parallel, they would look up the same secret several times.
        self.operations.look_up(attempt.planned for attempt in attempts)

        def outcome(attempt: Attempt) -> Outcome:
            if is_halted.is_set() or not may_continue():
                return None
            expires_at, shares = self.expires_at(), self.shares(attempt.planned)
            try:
                return self._submit_somewhere(attempt, expires_at, shares)
            # No job was created. Before the next round, the loop checks whether this run still has its lease.
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

    def _submit_somewhere(self, attempt: Attempt, expires_at: float, shares: QueueShares) -> Job:
        """Submit to the next queue; if that queue is full or paused, submit to another queue."""
        while True:
            queue_id = shares.take()
            try:
                # For another queue, the signature expires at the same time: no submission is ever signed
                # again with a later expiry.
                return self.submit(attempt, expires_at, queue_id)
            except (CIError, ValueError) as error:
                is_refused = _is_about_queue(error)
                shares.give_back(queue_id, is_refused=is_refused)
                if not is_refused or not shares.has_open_queue:
                    raise

    def shares(self, planned: PlannedObject) -> QueueShares:
        """How the jobs of the line's type are divided among the queues."""
        return self.shares_of(self.operations.type_of(planned))

    def shares_of(self, job_type: JobType) -> QueueShares:
        """How the jobs of a type are divided among the queues."""
        return self._shares.setdefault(job_type.tag, QueueShares(self.queues.to_submit(job_type)))

    def queue_to_record(self, job: Job) -> str:
        """The queue id to record for a job; empty if the batch has one queue, which the plan names."""
        queues = [self.queues.to_submit(job_type) for job_type in self.operations.types]
        return job.queue_id if any(len(each) > 1 for each in queues) else ""

    def watched(self, running: Mapping[str, RunningJob]) -> dict[str, Watched]:
        """The running jobs of the batch, in the form that :class:`JobWatches` takes."""
        return {
            job_id: Watched(self.operations.type_of(found.attempt.planned), found.queue_id, found.created_at)
            for job_id, found in running.items()
        }

    def note_queues(self, watches: JobWatches) -> None:
        """Note how fast each queue drains."""
        for job_type in self.operations.types:
            self.shares_of(job_type).note_state(*watches.counts(job_type))

    def find(self, attempts: Iterable[Attempt]) -> dict[Attempt, Job]:
        """The jobs that the service created for unconfirmed submissions.

        Jobs are matched by UserData if the service returns it, otherwise by input, output and operation. The
        listing is read back only to the time of the first of these submissions.
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
        return keys_of_job(job) == keys_of(attempt) and self.may_be_of(job, attempt.planned)

    def may_be_of(self, job: Job, planned: PlannedObject) -> bool:
        """Whether a job without UserData may belong to a line with the same keys."""
        return self.may_be_ours(job) and self.matches(job, planned)

    def may_be_ours(self, job: Job) -> bool:
        """Whether a job without UserData may belong to this plan, judged by its state and creation time."""
        if job.state in (JobState.FAILED, JobState.CANCEL):
            return False  # it may be the job of an earlier attempt
        # The service gives creation times in whole seconds.
        is_too_old = job.created_at is not None and job.created_at.timestamp() < int(self.not_before)
        return not is_too_old

    def matches(self, job: Job, planned: PlannedObject) -> bool:
        """Whether a job does the operation of a line."""
        operation = self.operations.of(planned)
        return type_of_operation(operation).tag == job.tag and matches_operation(job, operation)

    def newest_jobs(self, look_back_to: datetime | None) -> Iterator[Job]:
        """The jobs of each queue created since ``look_back_to`` (service time; None: all), newest first."""
        oldest = None if look_back_to is None else look_back_to - TIME_SLACK
        for job_type in self.operations.types:
            for queue_id in self.queues.to_list(job_type):
                jobs = job_type.list(self.client, queue_id=queue_id, order="Desc", created_after=oldest)
                yield from _not_older(jobs, oldest)

    def jobs_in_flight(self) -> Iterator[Job]:
        """All jobs of the queues that have not ended."""
        for job_type in self.operations.types:
            for queue_id in self.queues.to_list(job_type):
                yield from job_type.list(self.client, queue_id=queue_id, states=_IN_FLIGHT)

    def mark(self, attempt: Attempt) -> str:
        """The UserData of a submission."""
        return f"{self.token}-{attempt.planned.index}-{attempt.number}"

    def read_mark(self, user_data: str) -> tuple[int, int] | None:
        """Line index and attempt number of a UserData; None if it is not a UserData of this plan."""
        token, _, rest = user_data.partition("-")
        index, _, number = rest.partition("-")
        if token != self.token or not (index.isdecimal() and number.isdecimal()):
            return None
        return int(index), int(number)


def keys_of(attempt: Attempt) -> tuple[str, str]:
    """Input and output key by which a job without UserData is recognized."""
    return attempt.planned.read_key, attempt.planned.output_key


def keys_of_job(job: Job) -> tuple[str, str]:
    """Input and output key of a job, without the slash that the service was seen to put before keys."""
    return job.input_key.removeprefix("/"), job.output_key.removeprefix("/")


def _not_older(jobs: Iterable[Job], oldest: datetime | None) -> Iterator[Job]:
    """The jobs of one listing (newest first) that were not created before ``oldest``."""
    older = 0
    for job in jobs:
        if oldest is not None and job.created_at is not None and job.created_at < oldest:
            older += 1
            if older == _OLDER_JOBS:
                return
        else:
            older = 0
            yield job


def _is_about_queue(error: CIError | ValueError) -> bool:
    """Whether a queue is full or paused, so that another queue may take the job."""
    return isinstance(error, QueuePausedError) or getattr(error, "code", "") == _FULL


def _earliest(attempts: Iterable[Attempt]) -> datetime | None:
    moments = [attempt.look_back_to for attempt in attempts]
    return None if None in moments else min(moment for moment in moments if moment)
