"""Waiting for many jobs with few requests."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from airflow_provider_ci.batch.kinds import JobKind, kind_of_job
from airflow_provider_ci.client import CIClient, CIError, Job, JobState

log = logging.getLogger(__name__)

FINAL_STATES = tuple(state for state in JobState if state.is_final)
_FEW = 3
"""Up to so many jobs are asked for one by one: a listing may hold other people's jobs as well."""
_JOBS_PER_PAGE = 100
_MAX_ASKED = 20
"""At most so many old jobs are asked for one by one beside a listing."""
_CANCEL_THREADS = 32


@dataclass(slots=True, kw_only=True)
class Pace:
    """How long to wait before the next look.

    After a look that saw jobs end it is the time in which a quarter of the pending ones should end at the
    rate seen so far; after one that saw none it grows by half. Both within the bounds, with a tenth of
    jitter.
    """

    shortest: float = 0.5
    """Seconds; the first wait."""
    longest: float = 30.0
    """Seconds; no wait is longer."""
    _last: float = field(default=0.0, init=False)
    _finished: int = field(default=0, init=False)

    def wait_seconds(self, *, pending: int, finished: int, elapsed_seconds: float) -> float:
        """Seconds until the next look, from what has been seen since the first submission."""
        is_moving, self._finished = finished > self._finished, finished
        wanted = pending * elapsed_seconds / finished / 4 if is_moving else self._last * 1.5
        self._last = min(max(wanted, self.shortest), self.longest)
        return self._last * random.uniform(0.9, 1.1)  # noqa: S311 jitter, not a secret


def finished_jobs(client: CIClient, kind: JobKind, pending: Mapping[str, datetime]) -> dict[str, Job]:
    """Those of the pending jobs that have ended, by job id.

    One listing of ended jobs, a hundred a page, answers for all of them. It begins with the oldest pending
    job, so that it moves on as the queue does, and stops where it begins to cost more than to ask for each:
    when so many jobs of others have ended since, the rest is asked for one by one.

    :param pending: when the service created each job, by job id.
    """
    if len(pending) <= _FEW:
        return _ended(client, kind, pending)
    # Times are in whole seconds, and whether the service's filter takes in its first one is not documented.
    since = min(pending.values()) - timedelta(seconds=1)
    listed = kind.list(client, states=FINAL_STATES, created_after=since, order="Asc")
    found: dict[str, Job] = {}
    for number, job in enumerate(listed):
        if job.job_id in pending:
            found[job.job_id] = job
        if len(found) == len(pending):
            return found
        if number + 1 >= len(pending) * _JOBS_PER_PAGE:
            return found | _ended(client, kind, pending.keys() - found.keys())
    return found


def _ended(client: CIClient, kind: JobKind, job_ids: Iterable[str]) -> dict[str, Job]:
    jobs = (kind.get(client, job_id) for job_id in job_ids)
    return {job.job_id: job for job in jobs if job.state.is_final}


class JobsInFlight:
    """Tells again and again which of many jobs have ended, with as few requests as it can.

    A listing that begins with the oldest pending job shows all that have ended since. A few old jobs that do
    not end would make it longer and longer; they are asked for one by one as soon as that costs less.
    """

    def __init__(self, client: CIClient, kind: JobKind) -> None:
        self._client = client
        self._kind = kind
        self._ended_by_second: Counter[int] = Counter()

    def ended(self, pending: Mapping[str, datetime]) -> list[Job]:
        """The jobs that have ended since they were pending.

        :param pending: when the service created each job, by job id.
        """
        by_age = sorted(pending, key=pending.__getitem__)
        oldest = self._to_ask_for(by_age, pending)
        found = _ended(self._client, self._kind, by_age[:oldest])
        listed = {job_id: pending[job_id] for job_id in by_age[oldest:]}
        found |= finished_jobs(self._client, self._kind, listed)
        self._ended_by_second.update(int(job.created_at.timestamp()) for job in found.values())
        return list(found.values())

    def _to_ask_for(self, by_age: Sequence[str], pending: Mapping[str, datetime]) -> int:
        """How many of the oldest are asked for one by one, so that the sum of requests is least."""
        seconds = [int(pending[job_id].timestamp()) for job_id in by_age[: _MAX_ASKED + 1]]
        self._forget_before(seconds[0] if seconds else None)
        costs = [asked + self._listed_since(second) // _JOBS_PER_PAGE for asked, second in enumerate(seconds)]
        return min(range(len(costs)), key=costs.__getitem__, default=0)

    def _listed_since(self, second: int) -> int:
        return sum(count for ended, count in self._ended_by_second.items() if ended >= second - 1)

    def _forget_before(self, second: int | None) -> None:
        for ended in [known for known in self._ended_by_second if second is None or known < second - 1]:
            del self._ended_by_second[ended]


class JobWatch:
    """Waits for jobs that are known by their ids only.

    The first look asks for each of them, which tells when they were created; every later one is a listing.
    """

    def __init__(self, client: CIClient, job_ids: Iterable[str]) -> None:
        self._client = client
        self._started = time.monotonic()
        self._created: dict[str, datetime] = {}
        self.pending: dict[str, JobKind] = {job_id: kind_of_job(job_id) for job_id in job_ids}
        """The jobs that have not ended yet, as far as is known."""
        self.finished: dict[str, Job] = {}
        """The jobs that have ended."""

    def look(self) -> None:
        """Ask the service.

        :raises NotFoundError: it does not know one of the jobs (it keeps them for a month).
        """
        if unknown := [job_id for job_id in self.pending if job_id not in self._created]:
            return self._meet(unknown)
        for kind in set(self.pending.values()):
            of_kind = {
                job_id: self._created[job_id] for job_id in self.pending if self.pending[job_id] is kind
            }
            for job in finished_jobs(self._client, kind, of_kind).values():
                self._finish(job)
        return None

    def _meet(self, job_ids: Iterable[str]) -> None:
        for job_id in job_ids:
            job = self.pending[job_id].get(self._client, job_id)
            self._created[job_id] = job.created_at
            if job.state.is_final:
                self._finish(job)

    def look_patiently(self) -> None:
        """Ask the service; when it does not answer for now, nothing is known but the next look may tell."""
        try:
            self.look()
        except CIError as error:
            if not error.is_retryable:
                raise
            log.warning("the service does not answer, still waiting: %s", error)

    def wait_seconds(self, pace: Pace) -> float:
        """Seconds until the next look."""
        elapsed = time.monotonic() - self._started
        return pace.wait_seconds(
            pending=len(self.pending), finished=len(self.finished), elapsed_seconds=elapsed
        )

    def _finish(self, job: Job) -> None:
        del self.pending[job.job_id]
        self.finished[job.job_id] = job


def cancel_waiting(client: CIClient, job_ids: Iterable[str]) -> None:
    """Cancel those of the jobs that have not begun; the service lets running ones end.

    Side by side and the newest first, since a task that is killed has five seconds for it.
    """
    with ThreadPoolExecutor(_CANCEL_THREADS, "ci-cancel") as executor:
        list(executor.map(partial(_cancel, client), reversed(list(job_ids))))


def _cancel(client: CIClient, job_id: str) -> None:
    try:
        kind_of_job(job_id).cancel(client, job_id)
        log.info("cancelled job %s", job_id)
    except CIError as error:
        log.info("job %s is not cancelled: %s", job_id, error)
