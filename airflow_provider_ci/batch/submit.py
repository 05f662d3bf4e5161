"""Submitting many jobs side by side, and finding out about those whose answer was lost."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Event

from airflow_provider_ci.batch.failures import is_about_one_object
from airflow_provider_ci.batch.kinds import JobKind
from airflow_provider_ci.batch.plan import Operation, PlannedJob
from airflow_provider_ci.client import CIClient, CIError, Job, JobState, SubmissionUnknownError

log = logging.getLogger(__name__)

_TIME_SLACK = timedelta(minutes=1)
"""How far the service's times of two jobs may be from what passed between them."""

Outcome = Job | CIError | ValueError | None
"""What came of a submission: the job, what went wrong, or ``None`` when it was not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One submission of a job for an object."""

    planned: PlannedJob
    number: int = 1
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Sent as UserData, so that the job can be told from others for the same object where it is echoed."""
    sent_at: float = field(default_factory=time.monotonic)
    """Not after the submission, by the monotonic clock."""
    lost_at: float = 0.0
    """When it was known that no answer comes, by the same clock. The service may still be at work then."""

    def sent_now(self) -> Attempt:
        """The same submission with the present as its time."""
        return replace(self, sent_at=time.monotonic())

    def lost_now(self) -> Attempt:
        """The same submission, whose answer has just been lost."""
        return replace(self, lost_at=time.monotonic())

    def again(self, *, counts: bool) -> Attempt:
        """The next submission for the object; ``counts`` when a job of this one existed."""
        return Attempt(planned=self.planned, number=self.number + counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitter:
    """Submits the jobs of one batch."""

    client: CIClient
    kind: JobKind
    operation: Operation
    queue_id: str | None = None

    def submit(self, attempt: Attempt) -> Job:
        """Submit one job.

        :raises SubmissionUnknownError: the service may have taken it.
        :raises CIError: it did not.
        """
        return self.kind.submit(
            self.client,
            attempt.planned.key,
            attempt.planned.output_key,
            self.operation,
            queue_id=self.queue_id,
            user_data=attempt.nonce,
        )

    def submit_all(
        self, attempts: Sequence[Attempt], executor: ThreadPoolExecutor, *, is_stopped: Callable[[], bool]
    ) -> Iterator[tuple[Attempt, Outcome]]:
        """Submit side by side; each attempt comes back, in order, with what came of it.

        Once an answer is lost, or a refusal concerns more than its object, or ``is_stopped`` says so, nothing
        more is sent: a thousand attempts at a service that is away would take hours.
        """
        is_halted = Event()

        def outcome(attempt: Attempt) -> Outcome:
            if is_halted.is_set():
                return None
            try:
                return self.submit(attempt)
            except (CIError, ValueError) as error:
                if not is_about_one_object(error):
                    is_halted.set()
                return error

        for attempt, result in zip(attempts, executor.map(outcome, attempts), strict=True):
            yield attempt, result
            if is_stopped():
                is_halted.set()

    def find(self, attempts: Iterable[Attempt]) -> dict[str, Job]:
        """The jobs of submissions whose answer was lost, by nonce, as far as the service took them.

        Matched by UserData where the service echoes it, else by input and output. The listing goes back only
        as far as the first of the submissions.
        """
        wanted = {attempt.nonce: attempt for attempt in attempts}
        if not wanted:
            return {}
        found: dict[str, Job] = {}
        newest_first = self.kind.list(self.client, queue_id=self.queue_id, order="Desc")
        for job in _made_since(min(attempt.sent_at for attempt in wanted.values()), newest_first):
            if (nonce := _nonce_of(job, wanted)) and nonce not in found:
                found[nonce] = job
                if len(found) == len(wanted):
                    break
        return found


def submit_once(submitter: Submitter, planned: PlannedJob, *, settle_seconds: float = 10) -> Job:
    """Submit one job. If its answer is lost, look for the job, and submit again only if it never shows.

    :raises CIError: the service refused it, or its fate is still unknown after the second submission.
    """
    attempt = Attempt(planned=planned)
    try:
        return submitter.submit(attempt)
    except SubmissionUnknownError as error:
        log.warning("%s; looking for it", error)
        return _find_or_submit(submitter, attempt.lost_now(), settle_seconds)


def _find_or_submit(submitter: Submitter, attempt: Attempt, settle_seconds: float) -> Job:
    while True:
        looked_at = time.monotonic()
        if found := submitter.find([attempt]):
            return found[attempt.nonce]
        if looked_at - attempt.lost_at >= settle_seconds:
            return submitter.submit(attempt.again(counts=True))
        time.sleep(1)


def _made_since(sent_at: float, newest_first: Iterable[Job]) -> Iterator[Job]:
    """Those of the jobs that may have been made after ``sent_at``.

    Only the service's times are compared, so that its clock may be anywhere: its newest job is not younger
    than its present.
    """
    oldest: datetime | None = None
    for job in newest_first:
        if oldest is None:
            oldest = job.created_at - timedelta(seconds=time.monotonic() - sent_at) - _TIME_SLACK
        if job.created_at < oldest:
            return
        yield job


def _nonce_of(job: Job, wanted: Mapping[str, Attempt]) -> str | None:
    if job.user_data:
        return job.user_data if job.user_data in wanted else None
    if job.state in (JobState.FAILED, JobState.CANCEL):  # of an earlier submission, as likely as not
        return None
    keys = (job.input_key, job.output_key)
    of_keys = (nonce for nonce, attempt in wanted.items() if keys == _keys(attempt.planned))
    return next(of_keys, None)


def _keys(planned: PlannedJob) -> tuple[str, str]:
    return planned.key, planned.output_key
