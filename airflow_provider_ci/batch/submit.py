"""Submitting many jobs side by side, and finding out about those whose answer was lost."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Event

from airflow_provider_ci.batch.failures import is_about_one_object
from airflow_provider_ci.batch.kinds import JobKind, does
from airflow_provider_ci.batch.plan import Operation, PlannedJob
from airflow_provider_ci.client import (
    Callback,
    CIClient,
    CIError,
    Job,
    JobState,
    RequestExpiredError,
    SubmissionUnknownError,
)

log = logging.getLogger(__name__)

TIME_SLACK = timedelta(minutes=1)
"""How far the service's times of two jobs may be from the order in which they were submitted."""

Outcome = Job | CIError | ValueError | None
"""What came of a submission: the job, what went wrong, or ``None`` when it was not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One submission of a job for an object."""

    planned: PlannedJob
    number: int = 1
    look_back_to: datetime | None = None
    """When the newest job known before this submission was created, by the service's clock."""
    lost_at: float = 0.0
    """When it was known that no answer comes, by the monotonic clock; the service may still be at work."""

    def lost_now(self, look_back_to: datetime | None) -> Attempt:
        """The same submission, whose answer has just been lost."""
        return replace(self, lost_at=time.monotonic(), look_back_to=look_back_to)

    def next(self) -> Attempt:
        """The submission that follows after a job of this one has ended badly."""
        return Attempt(planned=self.planned, number=self.number + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitter:
    """Submits the jobs of one batch, each with a UserData that says which submission it is."""

    client: CIClient
    kind: JobKind
    operation: Operation | None
    """None while the jobs of another operation are waited for; nothing can be submitted then."""
    queue_id: str | None = None
    job_level: int | None = None
    callback: Callback | None = None
    output_bucket: str | None = None
    output_region: str | None = None
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Tells the jobs of this batch from all others."""
    not_before: datetime | None = None
    """When the newest job was created that is older than the batch; what is older still is not ours."""
    foreign_jobs: frozenset[str] = frozenset()
    """Ids of older jobs that may have been created in the same second."""
    expires_at: Callable[[], float] | None = None
    """Unix time after which the service must not take a submission that is sent now."""

    def submit(self, attempt: Attempt) -> Job:
        """Submit one job.

        :raises SubmissionUnknownError: the service may have taken it.
        :raises RequestExpiredError: it was not sent in time.
        :raises CIError: the service did not take it.
        """
        return self.kind.submit(
            self.client,
            attempt.planned.key,
            attempt.planned.output_key,
            self.operation,
            queue_id=self.queue_id,
            job_level=self.job_level,
            callback=self.callback,
            output_bucket=self.output_bucket,
            output_region=self.output_region,
            user_data=self.mark(attempt),
            expires_at=self.expires_at() if self.expires_at else None,
        )

    def submit_all(
        self, attempts: Sequence[Attempt], executor: ThreadPoolExecutor, *, may_go_on: Callable[[], bool]
    ) -> Iterator[tuple[Attempt, Outcome]]:
        """Submit side by side; each attempt comes back, in order, with what came of it.

        Once an answer is lost, or a refusal concerns more than its object, or ``may_go_on`` says no, nothing
        more is sent: a thousand attempts at a service that is away would take hours.
        """
        is_halted = Event()

        def outcome(attempt: Attempt) -> Outcome:
            if is_halted.is_set() or not may_go_on():
                return None
            try:
                return self.submit(attempt)
            except RequestExpiredError:
                return None
            except (CIError, ValueError) as error:
                if not is_about_one_object(error):
                    is_halted.set()
                return error

        yield from zip(attempts, executor.map(outcome, attempts), strict=True)

    def find(self, attempts: Iterable[Attempt]) -> dict[Attempt, Job]:
        """The jobs of submissions whose answer was lost, as far as the service took them.

        Matched by UserData where the service echoes it, else by input, output and operation. The listing goes
        back only as far as the first of the submissions.
        """
        wanted = {self.mark(attempt): attempt for attempt in attempts}
        found: dict[Attempt, Job] = {}
        if not wanted:
            return found
        for job in self.newest_jobs(_earliest(wanted.values())):
            attempt = wanted.get(job.user_data) if job.user_data else self._like(job, wanted.values())
            if attempt and attempt not in found:
                found[attempt] = job
                if len(found) == len(wanted):
                    break
        return found

    def newest_jobs(self, look_back_to: datetime | None) -> Iterator[Job]:
        """The jobs that were not created before this moment of the service's clock, newest first."""
        for job in self.kind.list(self.client, order="Desc"):  # of all queues: the batch's may be another now
            if look_back_to is not None and job.created_at < look_back_to - TIME_SLACK:
                return
            yield job

    def mark(self, attempt: Attempt) -> str:
        """The UserData of a submission."""
        return f"{self.token}-{attempt.planned.index}-{attempt.number}"

    def read_mark(self, user_data: str) -> tuple[int, int] | None:
        """Index and number of the submission with this UserData; None if it is not one of this batch."""
        token, _, rest = user_data.partition("-")
        index, _, number = rest.partition("-")
        return (int(index), int(number)) if token == self.token else None

    def may_be_ours(self, job: Job) -> bool:
        """Whether a job without UserData can be one of this batch that nobody noted."""
        return (
            (self.not_before is None or job.created_at >= self.not_before)
            and job.job_id not in self.foreign_jobs
            and job.state not in (JobState.FAILED, JobState.CANCEL)  # an earlier one, as likely as not
            and (self.operation is None or does(job, self.operation))
        )

    def _like(self, job: Job, attempts: Iterable[Attempt]) -> Attempt | None:
        if not self.may_be_ours(job):
            return None
        keys = keys_of_job(job)
        return next((attempt for attempt in attempts if keys_of(attempt.planned) == keys), None)


def submit_once(submitter: Submitter, planned: PlannedJob, *, settle_seconds: float = 10) -> Job:
    """Submit one job. If its answer is lost, look for the job, and submit again only if it never shows.

    :raises CIError: the service refused it, or its fate is still unknown after the second submission.
    """
    attempt, began = Attempt(planned=planned), time.monotonic()
    try:
        return submitter.submit(attempt)
    except SubmissionUnknownError as error:
        log.warning("%s; looking for it", error)
        return _find_or_submit(submitter, attempt, began, settle_seconds)


def _find_or_submit(submitter: Submitter, attempt: Attempt, began: float, settle_seconds: float) -> Job:
    lost_at = time.monotonic()
    while True:
        looked_at = time.monotonic()
        newest = next(submitter.newest_jobs(None), None)
        elapsed = timedelta(seconds=time.monotonic() - began)
        since = newest.created_at - elapsed if newest else None
        if found := submitter.find([replace(attempt, look_back_to=since)]):
            return next(iter(found.values()))
        if looked_at - lost_at >= settle_seconds:
            return submitter.submit(attempt.next())
        time.sleep(1)


def find_submitted(
    submitter: Submitter, planned: PlannedJob, *, since: datetime, settle_seconds: float = 10
) -> Job | None:
    """The job of an earlier :func:`submit_once` with the same token that nobody noted, if there is one.

    :param since: a moment before that submission, by the service's clock.
    """
    attempts = [Attempt(planned=planned, number=number, look_back_to=since) for number in (1, 2)]
    while True:
        elapsed = submitter.client.server_time() - since
        if found := submitter.find(attempts):
            return found[max(found, key=lambda attempt: attempt.number)]
        if elapsed >= timedelta(seconds=settle_seconds):
            return None
        time.sleep(1)


def keys_of(planned: PlannedJob) -> tuple[str, str]:
    """What a job without UserData is known by."""
    return planned.key, planned.output_key


def keys_of_job(job: Job) -> tuple[str, str]:
    """The same of a job; the service was seen to put a slash before keys."""
    return job.input_key.removeprefix("/"), job.output_key.removeprefix("/")


def _earliest(attempts: Iterable[Attempt]) -> datetime | None:
    moments = [attempt.look_back_to for attempt in attempts]
    return None if None in moments else min(moment for moment in moments if moment)
