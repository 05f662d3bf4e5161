"""A batch in numbers."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from airflow_provider_ci.batch.limits import FailureLimit
from airflow_provider_ci.batch.results import ObjectResult, ObjectState, lines_of

MAX_GROUPS = 10
"""Maximum number of groups of failures in a summary; all others are counted together as ``other``."""
# The summary becomes an XCom, and XComs are made for small values.
_MAX_JSON = 3000
_OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """The failed objects with one error code."""

    code: str
    count: int
    example: str
    """One of the objects, with its reason."""

    def __str__(self) -> str:
        return f"{self.count:,} × {self.code or 'no code'}, e.g. {self.example}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSummary:
    """A batch in numbers. Its size does not depend on the number of objects, so it fits into an XCom."""

    batch_id: str
    total: int
    succeeded: int
    failed: int
    skipped: int
    cancelled: int
    unfinished: int
    seconds: float
    """Seconds from the start of planning to the end of the batch."""
    report_key: str
    """Key of ``report.jsonl``."""
    failures: tuple[FailureGroup, ...] = ()
    """Objects without an output, grouped by error code, largest group first."""
    jobs: int = 0
    """Number of jobs that this batch submitted; the service charges for them."""
    retryable: int = 0
    """Failed objects that may succeed if they are submitted again."""
    failed_before: int = 0
    """Failed objects that were not submitted again, because the same content failed permanently before."""
    judged_by_time: int = 0
    """Skipped objects that count as up to date only because their output is newer: no record says how the
    output was made."""
    archived: int = 0
    """Objects that were left out of the plan because they are archived."""
    stopped_early: bool = False
    """Whether so many objects failed that the rest was not submitted."""
    stop_reason: str = ""
    """Why nothing more was submitted although objects are left: ``max_jobs`` was reached, or the canary
    failed."""
    input_bytes: int = 0
    """Total size of the finished objects, in bytes."""
    outputs: int = 0
    """Number of objects that jobs wrote: one per success, or one per page."""
    output_bytes: int = 0
    """Total size of the picture outputs, in bytes; the service does not report the size of documents."""

    @classmethod
    def empty(cls, batch_id: str, report_key: str = "") -> BatchSummary:
        """The summary of no objects, to which counts are added."""
        return cls(
            batch_id=batch_id,
            total=0,
            succeeded=0,
            failed=0,
            skipped=0,
            cancelled=0,
            unfinished=0,
            seconds=0.0,
            report_key=report_key,
        )

    @property
    def may_heal(self) -> int:
        """Deprecated name of :attr:`retryable`."""
        warnings.warn("BatchSummary.may_heal is now retryable", DeprecationWarning, stacklevel=2)
        return self.retryable

    @property
    def first_failures(self) -> tuple[str, ...]:
        """One example per group of failures."""
        return tuple(group.example for group in self.failures[:3])

    def is_good_enough(self, limit: FailureLimit) -> bool:
        """Whether the batch is done, with no more failures than are allowed."""
        failed = self.failed + self.cancelled
        # The limit says how many objects may fail, not how many may be left out.
        return not (self.unfinished or self.stopped_early) and limit.allows(failed, self.total)

    def to_json(self) -> dict[str, Any]:
        """The summary as JSON types, up to 3 KB; groups that do not fit are only in the report."""
        values = {**asdict(self), "failures": [asdict(group) for group in self.failures]}
        values["first_failures"] = list(self.first_failures)
        if not self.stop_reason:
            del values["stop_reason"]
        if not self.output_bytes:
            del values["output_bytes"]  # unknown for documents
        while len(json.dumps(values)) > _MAX_JSON:
            longest = max(values["failures"], values["first_failures"], key=len)
            if not longest:
                break
            # The groups are sorted by size, so this removes the smallest one.
            longest.pop()
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> BatchSummary:
        """The summary from :meth:`to_json`; unknown names are ignored."""
        known = {item.name: values[item.name] for item in fields(cls) if item.name in values}
        groups = tuple(FailureGroup(**group) for group in known.get("failures", ()))
        return cls(**{**known, "failures": groups})


@dataclass(slots=True)
class Counts:
    """Counts results for a summary."""

    states: dict[ObjectState, int] = field(default_factory=lambda: dict.fromkeys(ObjectState, 0))
    groups: dict[str, FailureGroup] = field(default_factory=dict)
    retryable: int = 0
    failed_before: int = 0
    input_bytes: int = 0
    outputs: int = 0
    output_bytes: int = 0

    def add(self, result: ObjectResult) -> None:
        """Count a result."""
        self.states[result.state] += 1
        self.retryable += result.is_retryable
        self.failed_before += result.failed_before
        if result.state is not ObjectState.UNFINISHED:
            self.input_bytes += result.size
        for made in lines_of([result]):
            # A skipped output was written by an earlier batch.
            if made.state is ObjectState.SUCCEEDED:
                self.outputs += made.outputs or 1
                self.output_bytes += made.output_size or 0
        if result.state in (ObjectState.FAILED, ObjectState.CANCELLED):
            self._group(result)

    def _group(self, result: ObjectResult) -> None:
        code = result.code or str(result.state)
        # Codes come from the service: without a limit, the summary could grow with the failures.
        if code not in self.groups and len(self.groups) >= MAX_GROUPS:
            code = _OTHER
        known = self.groups.get(code)
        if known is None:
            self.groups[code] = FailureGroup(code=code, count=1, example=result.failure_line)
        else:
            self.groups[code] = replace(known, count=known.count + 1)

    def applied_to(self, summary: BatchSummary) -> BatchSummary:
        """A summary with these counts."""
        states = self.states
        return replace(
            summary,
            total=sum(states.values()),
            succeeded=states[ObjectState.SUCCEEDED],
            failed=states[ObjectState.FAILED],
            skipped=states[ObjectState.SKIPPED],
            cancelled=states[ObjectState.CANCELLED],
            unfinished=states[ObjectState.UNFINISHED],
            failures=tuple(sorted(self.groups.values(), key=lambda group: -group.count)),
            retryable=self.retryable,
            failed_before=self.failed_before,
            input_bytes=self.input_bytes,
            outputs=self.outputs,
            output_bytes=self.output_bytes,
        )
