"""After a crash: which submissions the service took without anybody having noted them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from airflow_provider_ci.batch.plan import PlannedJob
from airflow_provider_ci.batch.state import BatchState
from airflow_provider_ci.batch.submit import Attempt, Submitter, keys_of, keys_of_job
from airflow_provider_ci.client import Job, JobState

log = logging.getLogger(__name__)

_DEAD = (JobState.FAILED, JobState.CANCEL)


@dataclass(slots=True)
class Unnoted:
    """Jobs of the batch that the listing shows and the ledger does not."""

    by_index: dict[int, tuple[int, Job]] = field(default_factory=dict)
    """Number of the submission and job, by the object's place in the plan."""
    by_keys: dict[tuple[str, str], Job] = field(default_factory=dict)
    """Those without UserData, by input and output."""

    def add(self, index: int, number: int, job: Job) -> None:
        """Keep the latest submission of an object; of two jobs of one submission the one that lives."""
        known = self.by_index.get(index)
        if known is None or number > known[0] or (number == known[0] and known[1].state in _DEAD):
            self.by_index[index] = (number, job)


def find_unnoted(submitter: Submitter, state: BatchState) -> Unnoted:
    """List the jobs since the last that was noted, and keep those that are this batch's and not known."""
    unnoted = Unnoted()
    for job in submitter.newest_jobs(state.look_back_to):
        if job.job_id in state.running:
            continue
        if not job.user_data:
            if submitter.may_be_ours(job):
                unnoted.by_keys.setdefault(keys_of_job(job), job)
        elif mark := submitter.read_mark(job.user_data):
            unnoted.add(*mark, job)
    return unnoted


def adopt_known(unnoted: Unnoted, state: BatchState) -> None:
    """Give the jobs to those of the objects that were taken up."""
    for attempt, is_running in list(_taken_up(state)):
        index, least = attempt.planned.index, attempt.number + is_running
        number, job = unnoted.by_index.pop(index, (0, None))
        if job is None and (job := unnoted.by_keys.pop(keys_of(attempt.planned), None)):
            number = least
        if job is not None and number >= least:
            state.forget([index])
            take_up(state, attempt.planned, number, job)


def forget_done(unnoted: Unnoted, state: BatchState) -> None:
    """Leave out the jobs of objects that have their verdict already."""
    for index in list(unnoted.by_index):
        if index < state.next_index or index in state.done_ahead:
            del unnoted.by_index[index]


def place_by_keys(unnoted: Unnoted, planned: Iterable[PlannedJob]) -> None:
    """Find the objects of jobs without UserData in the rest of the plan."""
    if not unnoted.by_keys:
        return
    for one in planned:
        if job := unnoted.by_keys.pop(keys_of(one), None):
            unnoted.add(one.index, 1, job)
        if not unnoted.by_keys:
            return


def take_up(state: BatchState, planned: PlannedJob, number: int, job: Job) -> None:
    """Note a job that was found."""
    log.info("found job %s of %s, which nobody had noted", job.job_id, planned.key)
    state.take_up(Attempt(planned=planned, number=number), job.job_id, job.created_at)


def _taken_up(state: BatchState) -> Iterator[tuple[Attempt, bool]]:
    yield from ((found.attempt, True) for found in state.running.values())
    yield from ((attempt, False) for attempt in (*state.unsure, *state.waiting))
