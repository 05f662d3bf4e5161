"""The canary, a sample that a batch processes first; the rest follows only if few of its objects fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.state import BatchState
from airflow_provider_ci.batch.limits import FailureLimit
from airflow_provider_ci.batch.results import ObjectResult, ObjectState
from airflow_provider_ci.batch.settings import BatchSettings

_BAD = (ObjectState.FAILED, ObjectState.CANCELLED)


@dataclass(slots=True)
class Canary:
    """The sample of a plan: its first objects, which planning has drawn from the whole plan.

    No record says whether the sample passed. While no later line has been touched, all results are results of
    the sample; as soon as a later line has been touched, the sample must have passed.

    :param lines: number of lines of the sample, one for each object and step; 0 without a sample.
    :param total: number of lines of the plan.
    :param steps: number of lines of each object.
    :param limit: how many objects of the sample may fail.
    :param results: reads the results so far.
    """

    lines: int
    total: int
    steps: int
    limit: FailureLimit
    results: Callable[[], Iterable[ObjectResult]]
    _failed: int | None = field(default=None, init=False)
    """Number of objects of the sample that failed; None until all objects of the sample have results."""

    @classmethod
    def of_plan(cls, settings: BatchSettings, journal: Journal) -> Canary:
        """The sample of a plan; a batch that continues with ``canary=0`` ignores it."""
        limit = settings.max_failures if settings.canary_failures is None else settings.canary_failures
        header = journal.plan.header
        return cls(
            lines=header.canary if settings.canary else 0,
            total=header.total,
            steps=len(header.all_steps),
            limit=FailureLimit.parse(limit),
            results=journal.results,
        )

    def judge(self, state: BatchState) -> None:
        """Count the failures, once all objects of the sample have their results.

        :raises CIError: the results cannot be read now.
        """
        if self._failed is None and self._is_last_touched(state) and not _is_undecided(state):
            # An object fails once, however many of its steps fail.
            bad = {result.index // self.steps for result in self.results() if result.state in _BAD}
            self._failed = len(bad)

    def holds(self, state: BatchState) -> bool:
        """Whether objects after the sample must not be submitted, at least for now."""
        if not self._is_last_touched(state):
            return False
        return self._failed is None or not self.limit.allows(self._failed, self._objects)

    def has_failed(self, state: BatchState) -> bool:
        """Whether too many objects of the sample have failed."""
        return self._failed is not None and self.holds(state)

    @property
    def reason(self) -> str:
        """Why objects stay unfinished."""
        return (
            f"{self._failed} of the {self._objects} objects of the canary failed (allowed: {self.limit}), so "
            "the rest was not submitted: repair the cause and run the batch under another batch_id, or run "
            "it again with canary=0 or a higher canary_failures to go on"
        )

    @property
    def _objects(self) -> int:
        return self.lines // self.steps

    def _is_last_touched(self, state: BatchState) -> bool:
        return 0 < self.lines < self.total and state.next_index == self.lines


def _is_undecided(state: BatchState) -> bool:
    return bool(state.in_flight or state.waiting or state.followed or state.blocked)
