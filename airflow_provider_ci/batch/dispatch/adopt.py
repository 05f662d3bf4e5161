"""Finds, after a crash, jobs that the service accepted but no run recorded, and adopts them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone

from airflow_provider_ci.batch.dispatch.submit import Submitter, keys_of, keys_of_job
from airflow_provider_ci.batch.ledger.state import Attempt, BatchState
from airflow_provider_ci.batch.planning.planned import PlannedObject
from airflow_provider_ci.client import Job, JobState

log = logging.getLogger(__name__)

_DEAD = (JobState.FAILED, JobState.CANCEL)


@dataclass(slots=True)
class UnrecordedJobs:
    """Jobs of the plan that are in the service's listing but not in the journal."""

    by_index: dict[int, tuple[int, Job]] = field(default_factory=dict)
    """Attempt number and job, by the object's place in the plan."""
    by_keys: dict[tuple[str, str], list[Job]] = field(default_factory=dict)
    """Jobs without UserData, newest first, by input and output key."""

    def add(self, index: int, number: int, job: Job) -> None:
        """Keep the job of an object's latest attempt; of two jobs, keep the one that has not failed."""
        known = self.by_index.get(index)
        if known is None or number > known[0] or (number == known[0] and known[1].state in _DEAD):
            self.by_index[index] = (number, job)

    def pop_by_keys(self, attempt: Attempt, submitter: Submitter) -> Job | None:
        """Take out the newest job without UserData that may belong to this line."""
        jobs = self.by_keys.pop(keys_of(attempt), ())
        return next((job for job in jobs if submitter.may_be_of(job, attempt.planned)), None)


def adopt_unrecorded(
    submitter: Submitter, state: BatchState, *, upcoming: Callable[[], Iterable[PlannedObject]]
) -> UnrecordedJobs:
    """Adopt the unrecorded jobs of touched objects, and return the jobs of untouched objects.

    :param upcoming: returns the rest of the plan, from ``next_index`` on.
    """
    unrecorded = _find(submitter, state)
    _adopt_touched(unrecorded, state, submitter)
    for index in list(unrecorded.by_index):  # these objects already have their result
        if index < state.next_index or index in state.done_ahead:
            del unrecorded.by_index[index]
    # Jobs without UserData are recognized only by their keys, so the rest of the plan has to be read.
    if unrecorded.by_keys:
        for planned in upcoming():
            if job := unrecorded.pop_by_keys(Attempt(planned=planned), submitter):
                unrecorded.add(planned.index, 1, job)
            if not unrecorded.by_keys:
                break
    return unrecorded


def adopt(state: BatchState, planned: PlannedObject, number: int, job: Job) -> None:
    """Record a job of this batch that was found in the listing."""
    log.info("adopted job %s of %r, which nobody had recorded", job.job_id, planned.key)
    state.add_job(Attempt(planned=planned, number=number), job.job_id, job.created_at, job.queue_id)


def _find(submitter: Submitter, state: BatchState) -> UnrecordedJobs:
    unrecorded = UnrecordedJobs()
    begin = datetime.fromtimestamp(submitter.not_before, timezone.utc)
    for job in submitter.newest_jobs(state.look_back_to or begin):
        if job.job_id in state.running:
            continue
        if mark := submitter.read_mark(job.user_data):
            unrecorded.add(*mark, job)
        elif submitter.token.startswith(job.user_data.partition("-")[0]) and submitter.may_be_ours(job):
            # The service showed no UserData, or only its beginning.
            unrecorded.by_keys.setdefault(keys_of_job(job), []).append(job)
    return unrecorded


def _adopt_touched(unrecorded: UnrecordedJobs, state: BatchState, submitter: Submitter) -> None:
    for attempt, is_running in list(_touched(state)):
        # The journal has the job of a running attempt, so only a later attempt can be unrecorded.
        index, least = attempt.planned.index, attempt.number + is_running
        number, job = unrecorded.by_index.pop(index, (0, None))
        if job is None and (job := unrecorded.pop_by_keys(attempt, submitter)):
            # Without UserData, a job does not say which attempt it belongs to.
            number = least
        if job is not None and number >= least:
            state.forget([index])
            adopt(state, attempt.planned, number, job)


def _touched(state: BatchState) -> Iterator[tuple[Attempt, bool]]:
    yield from ((found.attempt, True) for found in state.running.values())
    yield from ((attempt, False) for attempt in (*state.unconfirmed, *state.waiting, *state.blocked_attempts))
