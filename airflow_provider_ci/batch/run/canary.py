"""A sample of a batch that goes first: the rest follows only if few of its objects fail (``canary``)."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_ci.batch.ledger.plan_store import PlanHeader
from airflow_provider_ci.batch.ledger.state import BatchState
from airflow_provider_ci.batch.limits import FailureLimit
from airflow_provider_ci.batch.results import ObjectState
from airflow_provider_ci.batch.settings import BatchSettings


@dataclass(frozen=True, slots=True)
class Canary:
    """The sample of a plan: its first objects, which planning has drawn from the whole plan.

    The verdict needs no record. While nothing behind the sample is touched, all results are results of the
    sample; once something is touched, the sample was good enough.

    :param size: number of objects; 0 without a sample.
    :param total: number of objects of the plan.
    """

    size: int
    total: int
    limit: FailureLimit

    @classmethod
    def of_plan(cls, settings: BatchSettings, header: PlanHeader) -> Canary:
        """The sample of a plan; a batch that continues with ``canary=0`` ignores it."""
        limit = settings.max_failures if settings.canary_failures is None else settings.canary_failures
        size = header.canary if settings.canary else 0
        return cls(size, header.total, FailureLimit.parse(limit))

    def holds(self, state: BatchState) -> bool:
        """Whether objects behind the sample must not be submitted yet, or not at all."""
        if not 0 < self.size < self.total or state.next_index != self.size:
            return False
        return self._is_undecided(state) or not self._is_good(state)

    def has_failed(self, state: BatchState) -> bool:
        """Whether too many objects of the sample have failed."""
        return self.holds(state) and not self._is_undecided(state)

    def reason(self, state: BatchState) -> str:
        """Why objects stay unfinished."""
        return (
            f"{_failed(state)} of the {self.size} objects of the canary failed (allowed: {self.limit}), so "
            "the rest was not submitted: repair the cause and run the batch under another batch_id, or run "
            "it again with canary=0 or a higher canary_failures to go on"
        )

    def _is_undecided(self, state: BatchState) -> bool:
        return bool(state.in_flight or state.waiting or state.followed)

    def _is_good(self, state: BatchState) -> bool:
        return self.limit.allows(_failed(state), self.size)


def _failed(state: BatchState) -> int:
    return state.counts[ObjectState.FAILED] + state.counts[ObjectState.CANCELLED]
