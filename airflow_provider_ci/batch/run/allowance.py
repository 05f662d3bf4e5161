"""How many jobs a batch may still submit (``max_jobs``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.state import Attempt, BatchState
from airflow_provider_ci.client import Job


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many jobs a batch may submit, in all of its runs and all plans of the same work.

    :param most: maximum number of jobs; None for no limit.
    :param before: number of jobs of earlier plans of the same work.
    """

    most: int | None
    before: int = 0

    def left(self, state: BatchState) -> int | None:
        """Number of jobs that may still be submitted; None for no limit.

        A submission whose response was lost counts until it is certain that the service did not take it.
        """
        if self.most is None:
            return None
        return max(0, self.most - self.before - state.jobs - len(state.unconfirmed))

    def granted(self, attempts: list[Attempt], state: BatchState) -> list[Attempt]:
        """As many of these submissions as are allowed, beginning with the first; the others wait again."""
        left = self.left(state)
        if left is None or len(attempts) <= left:
            return attempts
        state.waiting.extendleft(reversed(attempts[left:]))
        return attempts[:left]

    def is_spent(self, state: BatchState) -> bool:
        """Whether an object waits for a job, but no more jobs may be submitted."""
        return bool(state.waiting) and self.left(state) == 0

    @property
    def reason(self) -> str:
        """Why objects stay unfinished."""
        return (
            f"max_jobs is {self.most}, and so many jobs were submitted: run the batch again with a higher "
            "max_jobs to do the rest"
        )


def jobs_of_earlier_plan(
    journal: Journal, state: BatchState, *, before: int, listed: Callable[[], Iterable[Job]]
) -> int:
    """Number of jobs that a plan, and the plans before it, have submitted.

    :param before: number of jobs of the plans before it.
    :param listed: returns the jobs of the plan that are not older than the newest recorded job; a run that
        died may not have recorded some of them.
    """
    # A job is counted once, whether it is recorded as running, has its result, or is only listed.
    known = {result.job_id for result in journal.results()} | set(state.running)
    return before + state.jobs + sum(job.job_id not in known for job in listed())
