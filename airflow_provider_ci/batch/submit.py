"""Submitting many jobs side by side, and finding out about those whose answer was lost."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

from airflow_provider_ci.batch.kinds import JobKind
from airflow_provider_ci.batch.plan import Operation, PlannedJob
from airflow_provider_ci.client import CIClient, CIError, Job, JobState, SubmissionUnknownError

log = logging.getLogger(__name__)

_CLOCK_SLACK = timedelta(minutes=20)
"""How far the service's clock may be from ours when jobs are looked for by time (it refuses more than 15)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One submission of a job for an object."""

    planned: PlannedJob
    number: int = 1
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Sent as UserData, so that the job can be told from others for the same object where it is echoed."""
    sent_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def sent_now(self) -> Attempt:
        """The same submission with the present as its time."""
        return replace(self, sent_at=datetime.now(timezone.utc))

    def age_seconds(self) -> float:
        """Seconds since the submission."""
        return (datetime.now(timezone.utc) - self.sent_at).total_seconds()

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
        self, attempts: Sequence[Attempt], executor: ThreadPoolExecutor
    ) -> Iterator[tuple[Attempt, Job | CIError]]:
        """Submit side by side; each attempt comes back, in order, with its job or with what went wrong."""
        return zip(attempts, executor.map(self._outcome, attempts), strict=True)

    def find(self, attempts: Iterable[Attempt]) -> dict[str, Job]:
        """The jobs of submissions whose answer was lost, by nonce, as far as the service took them.

        Matched by UserData where the service echoes it, else by input and output.
        """
        wanted = list(attempts)
        if not wanted:
            return {}
        since = min(attempt.sent_at for attempt in wanted) - _CLOCK_SLACK
        listed = list(self.kind.list(self.client, created_after=since, queue_id=self.queue_id))
        found = {attempt.nonce: _match(attempt, listed) for attempt in wanted}
        return {nonce: job for nonce, job in found.items() if job is not None}

    def _outcome(self, attempt: Attempt) -> Job | CIError:
        try:
            return self.submit(attempt)
        except CIError as error:
            return error


def submit_once(submitter: Submitter, planned: PlannedJob, *, settle_seconds: float = 10) -> Job:
    """Submit one job. If its answer is lost, look for the job, and submit again only if it never shows.

    :raises CIError: the service refused it, or its fate is still unknown after the second submission.
    """
    attempt = Attempt(planned=planned)
    try:
        return submitter.submit(attempt)
    except SubmissionUnknownError as error:
        log.warning("%s; looking for it", error)
    while not (found := submitter.find([attempt])) and attempt.age_seconds() < settle_seconds:
        time.sleep(1)
    return found.get(attempt.nonce) or submitter.submit(attempt.again(counts=True))


def _match(attempt: Attempt, jobs: Iterable[Job]) -> Job | None:
    for job in jobs:
        if job.user_data:
            if job.user_data == attempt.nonce:
                return job
        elif (job.input_key, job.output_key) == (
            attempt.planned.key,
            attempt.planned.output_key,
        ) and job.state not in (JobState.FAILED, JobState.CANCEL):
            return job
    return None
