"""What a batch would do, before anything is submitted or written."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_provider_ci.batch.prices import PriceTable, Work

_LISTED = 1000
_PLAN_PART = 10_000
_FEW = 14
"""Number of requests of the smallest batch; see "Cost" in ``docs/batch.md``."""
_WAITING_PER_JOB = 0.03
_PER_MINUTE = 7
"""Requests per minute for the lease and the registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPreview:
    """What a batch would do if it ran now: an estimate, because buckets and other batches change.

    ``objects`` is the sum of ``to_submit``, ``finished``, and the numbers of objects that need no job.
    """

    batch_id: str
    objects: int
    """Objects of the source, without those that are left out."""
    jobs: int
    """Jobs to submit, of all steps together."""
    outputs: int = 0
    """Outputs of the objects: one for each object and step."""
    steps: Mapping[str, int] = field(default_factory=dict)
    """Jobs to submit of each step; empty for a batch with one operation."""
    to_submit: int = 0
    """Objects that need at least one job."""
    canary: int = 0
    """Objects in the sample that is processed first; 0 if there is no sample."""
    up_to_date: int = 0
    failed_before: int = 0
    """Objects that failed permanently and are unchanged; they get a job only with ``retry_failed``."""
    unusable: int = 0
    """Keys that fail without a job, for example because there is no such object."""
    in_flight: int = 0
    """Objects that need no job because jobs for their outputs are running."""
    finished: int = 0
    """Objects that earlier runs of an unfinished plan have finished."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Number of objects under the prefix that are left out, by reason."""
    bytes: int = 0
    """Size of the objects that need a job, each counted once."""
    requests: int = 0
    """Number of requests to CI and COS, including the submissions."""
    hours: float | None = None
    """Hours that all ``jobs`` take at the concurrency of the queue; None if the concurrency is unknown."""
    cost: float | None = None
    """Cost of all ``jobs``, in ``currency``; None if the price table lacks a price."""
    cost_leaves_out: Sequence[str] = ()
    """What ``cost`` does not count, or which price it lacks."""
    currency: str = "CNY"
    continues: bool = False
    """Whether the batch has an unfinished plan, which a run would continue."""
    max_jobs: int | None = None
    """Maximum number of jobs of the batch; if it is less than ``jobs``, the rest stays unfinished."""
    max_jobs_left: int | None = None
    """Number of jobs that earlier runs have left of ``max_jobs``."""

    def to_json(self) -> dict[str, Any]:
        """The preview as JSON types."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The preview in words, one fact per line."""
        facts = [
            (self.objects, "objects found" if not self.continues else "objects in the unfinished plan"),
            (self.finished, "finished by earlier runs"),
            (self.up_to_date, "up to date"),
            (self.failed_before, "failed before with the same content"),
            (self.unusable, "cannot be processed"),
            (self.in_flight, "have jobs in flight already"),
            *((count, f"left out: {reason}") for reason, count in self.left_out.items()),
        ]
        return [
            *(f"{count:,} {what}" for count, what in facts if count or what.startswith("objects")),
            f"{self.jobs:,} jobs to submit{self._capped}, {self.bytes:,} bytes, {self.requests:,} requests",
            *(f"{count:,} jobs of step {name!r}" for name, count in self.steps.items()),
            *self._limits(),
            *self._estimate(),
        ]

    @property
    def _capped(self) -> str:
        return (
            "" if self.max_jobs is None or self.jobs <= self._allowed else f" (max_jobs: {self.max_jobs:,})"
        )

    @property
    def _allowed(self) -> int:
        left = self.max_jobs if self.max_jobs_left is None else self.max_jobs_left
        return self.jobs if left is None else left

    def _limits(self) -> Iterator[str]:
        if self._capped:
            yield f"{self._allowed:,} of them may be submitted, the rest would stay unfinished"
        if self.canary:
            yield f"{self.canary:,} objects go first, as a sample (canary)"

    def _estimate(self) -> Iterator[str]:
        cost = "unknown cost" if self.cost is None else f"{self.cost:,.2f} {self.currency}"
        time = "unknown time" if self.hours is None else f"{self.hours:,.1f} hours"
        yield f"about {cost} and {time}; an estimate, check your contract"
        if self.cost_leaves_out:
            yield f"not in the cost: {', '.join(self.cost_leaves_out)}"
        if self.hours is None:
            yield "the time needs the number of jobs at once: set concurrency in the price table"


def estimated(
    preview: dict[str, Any],
    prices: PriceTable,
    works: Sequence[Work],
    *,
    concurrency: Mapping[str, int | None],
) -> BatchPreview:
    """A preview with its estimates of requests, time and money.

    :param preview: the fields of the preview that were counted.
    :param concurrency: number of jobs that run at the same time, by tag.
    """
    jobs, objects = preview["jobs"], preview["objects"]
    hours = _hours(prices, works, concurrency)
    requests = _FEW if objects else _FEW - 3
    requests += 2 * (objects // _LISTED) + 2 * (preview["outputs"] // _PLAN_PART)
    requests += math.ceil(jobs * (1 + _WAITING_PER_JOB)) + math.ceil((hours or 0) * 60 * _PER_MINUTE)
    cost, left_out = prices.cost_of(works, requests)
    return BatchPreview(
        **preview,
        requests=requests,
        hours=None if hours is None else round(hours, 3),
        cost=None if cost is None else round(cost, 4),
        cost_leaves_out=list(left_out),
        currency=prices.currency,
    )


def _hours(prices: PriceTable, works: Sequence[Work], concurrency: Mapping[str, int | None]) -> float | None:
    """Hours that the jobs take; the queues of documents and of pictures work at the same time."""
    jobs: Counter[str] = Counter()
    for work in works:
        jobs["" if prices.concurrency else work.tag] += work.jobs
    at_once = {"": prices.concurrency, **concurrency}
    if any(count and not at_once[tag] for tag, count in jobs.items()):
        return None
    seconds = (count * prices.seconds_per_job / (at_once[tag] or 1) for tag, count in jobs.items())
    return max(seconds, default=0.0) / 3600
