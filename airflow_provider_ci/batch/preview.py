"""What a batch would do, before anything is submitted or written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_provider_ci.batch.prices import PriceTable

_LISTED = 1000
_PLAN_PART = 10_000
_FEW = 14
"""Requests of the smallest batch; see "Cost" in ``docs/batch.md``."""
_WAITING_PER_JOB = 0.03
_PER_MINUTE = 7
"""Requests for the lease and the registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPreview:
    """What a batch would do if it ran now: an estimate, because buckets and other batches change.

    ``objects`` is the sum of ``jobs`` and of the numbers of objects that need no job.
    """

    batch_id: str
    objects: int
    """Objects that the source has, without the ones that are left out."""
    jobs: int
    """Jobs to submit."""
    up_to_date: int = 0
    failed_before: int = 0
    """Objects whose unchanged content failed permanently; they get no job without ``retry_failed``."""
    unusable: int = 0
    """Keys that fail without a job, for example because they do not exist."""
    in_flight: int = 0
    """Outputs for which jobs are already running."""
    finished: int = 0
    """Objects that earlier runs of an unfinished plan have finished."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Objects below the prefix that are not taken, by reason."""
    bytes: int = 0
    """Size of the objects that need a job."""
    requests: int = 0
    """Requests to CI and COS, with the submissions."""
    hours: float | None = None
    """At the concurrency of the queue; None if the queue does not say it."""
    cost: float | None = None
    """In ``currency``; None if the price table lacks a price."""
    currency: str = "CNY"
    continues: bool = False
    """Whether the batch has an unfinished plan, which a run would continue."""
    max_jobs: int | None = None
    """Cap of the batch; with fewer than ``jobs`` the rest would stay unfinished."""

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
        found = [f"{count:,} {what}" for count, what in facts if count or what.startswith("objects")]
        capped = (
            "" if self.max_jobs is None or self.jobs <= self.max_jobs else f" (max_jobs: {self.max_jobs:,})"
        )
        cost = "unknown cost" if self.cost is None else f"{self.cost:,.2f} {self.currency}"
        time = "unknown time" if self.hours is None else f"{self.hours:,.1f} hours"
        return [
            *found,
            f"{self.jobs:,} jobs to submit{capped}, {self.bytes:,} bytes, {self.requests:,} requests",
            f"about {cost} and {time}; an estimate, check your contract",
        ]


def estimated(
    preview: dict[str, Any], prices: PriceTable, *, concurrency: int | None, is_documents: bool
) -> BatchPreview:
    """A preview with its estimates of requests, time and money.

    :param preview: the fields that are counted.
    :param concurrency: jobs that run at the same time.
    """
    jobs, objects = preview["jobs"], preview["objects"]
    concurrency = prices.concurrency or concurrency
    hours = jobs * prices.seconds_per_job / concurrency / 3600 if concurrency else None
    requests = _FEW if objects else _FEW - 3
    requests += 2 * (objects // _LISTED) + 2 * (objects // _PLAN_PART)
    requests += math.ceil(jobs * (1 + _WAITING_PER_JOB)) + math.ceil((hours or 0) * 60 * _PER_MINUTE)
    cost = prices.cost(jobs=jobs, size=preview["bytes"], requests=requests, is_documents=is_documents)
    return BatchPreview(
        **preview,
        requests=requests,
        hours=None if hours is None else round(hours, 3),
        cost=None if cost is None else round(cost, 4),
        currency=prices.currency,
    )
