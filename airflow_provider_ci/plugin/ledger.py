"""Reads the ledger of a batch: its plan, its report, and its progress over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.plan_store import StoredPlan, read_plan
from airflow_provider_ci.batch.ledger.state import BatchState
from airflow_provider_ci.batch.planning.planned import PlannedObject
from airflow_provider_ci.batch.reports.pages import BatchReport, NoReportError
from airflow_provider_ci.batch.results import ObjectState
from airflow_provider_ci.client import CIClient, ObjectInfo

_BINS = 48
"""Maximum number of points in a chart."""
_RECORDS = 2000
"""Maximum number of records of one kind that a chart uses: enough for 20 million objects."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Ledger:
    """The ledger of one batch in its bucket; each part is read once, when it is needed."""

    client: CIClient
    folder: str

    @cached_property
    def plan(self) -> StoredPlan | None:
        """The frozen plan; None while the objects are being listed."""
        return read_plan(self.client, self.folder)

    @cached_property
    def report(self) -> BatchReport | None:
        """The report of this plan; None if it is not written yet, or belongs to an earlier plan."""
        found = BatchReport(self.client, self.folder)
        try:
            token = found.header.plan
        except NoReportError:
            return None
        return found if self.plan and token == self.plan.header.token else None

    @cached_property
    def journal(self) -> Journal | None:
        """The journal of the plan; None without a plan."""
        return Journal(client=self.client, plan=self.plan) if self.plan else None

    @cached_property
    def state(self) -> BatchState | None:
        """The recorded progress of the plan."""
        return self.journal.read_state() if self.journal else None

    def planned(self, index: int) -> PlannedObject | None:
        """The object at this place in the plan; None if the plan has no such object."""
        if self.plan is None or not 0 <= index < self.plan.header.total:
            return None
        return next(self.plan.objects(index), None)

    def course(self, finished: int, skipped: int, jobs: int) -> Course:
        """The progress of the batch over time, estimated from the times and sizes of its records.

        :param finished: number of objects that have a result.
        :param skipped: number of finished objects that needed no job.
        :param jobs: number of jobs that were submitted.
        """
        if self.plan is None:
            return Course()
        results = self._records("results")
        submitted = self._records("submitted")
        done = _cumulated(results, finished)
        ended = _cumulated(results, finished - skipped)
        return Course(
            throughput=_rates(done, self.plan.header.started_at),
            depth=_difference(_cumulated(submitted, jobs), ended),
        )

    def _records(self, name: str) -> list[ObjectInfo]:
        assert self.plan is not None
        found: list[ObjectInfo] = []
        for info in self.client.list_objects(f"{self.plan.root}{name}/"):
            found.append(info)
            if len(found) == _RECORDS:
                break
        return found


@dataclass(frozen=True, slots=True)
class Course:
    """The progress of a batch over time: points of a Unix time and a value."""

    throughput: Points = ()
    """Objects per second."""
    depth: Points = ()
    """Jobs in flight."""


def failed_of(state: BatchState) -> int:
    """Number of failed and cancelled objects in the results so far."""
    return state.counts[ObjectState.FAILED] + state.counts[ObjectState.CANCELLED]


def _cumulated(records: Iterable[ObjectInfo], total: int) -> list[tuple[float, float]]:
    """How many objects the records held at each time; a record counts in proportion to its bytes."""
    known = list(records)
    whole = sum(info.size for info in known) or 1
    times = (info.last_modified.timestamp() for info in known)
    return [
        (moment, total * size / whole)
        for moment, size in zip(times, accumulate(i.size for i in known), strict=True)
    ]


def _rates(done: Points, began: float) -> Points:
    """Objects per second between records; records close in time count as one."""
    if not done:
        return ()
    width = max(1.0, (done[-1][0] - began) / _BINS)
    rates: list[tuple[float, float]] = [(began, 0.0)]
    last, before = began, 0.0
    for moment, value in done:
        if moment - last >= width or ((moment, value) == done[-1] and moment > last):
            rates.append((moment, (value - before) / (moment - last)))
            last, before = moment, value
    return rates


def _difference(submitted: Points, ended: Points) -> Points:
    """Jobs in flight at each time at which jobs were submitted or ended."""
    changes = sorted([(moment, value, 0) for moment, value in submitted] + [(m, v, 1) for m, v in ended])
    now = [0.0, 0.0]
    found: list[tuple[float, float]] = []
    for moment, value, which in changes:
        now[which] = value
        found.append((moment, max(0.0, now[0] - now[1])))
    step = -(-len(found) // (4 * _BINS)) or 1
    return (
        found[::step] if len(found) <= step or (len(found) - 1) % step == 0 else [*found[::step], found[-1]]
    )
