"""The numbers of a batch: for its bar, its rate and its time left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from airflow_provider_ci.batch import BatchSummary
from airflow_provider_ci.plugin.recorded import TaskBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The number of a batch's objects in each state."""

    total: int
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    in_flight: int = 0
    ended: int = 0
    """Jobs that have ended but that the batch has not collected yet."""
    per_second: float | None = None
    seconds_left: float | None = None
    looked_at: datetime | None = None
    """When these numbers were recorded; None if they are final."""

    @property
    def finished(self) -> int:
        """Number of objects that have a result."""
        return self.succeeded + self.failed + self.skipped

    @property
    def left(self) -> int:
        """Number of objects that are neither finished nor in flight."""
        return max(0, self.total - self.finished - self.ended - self.in_flight)

    @property
    def parts(self) -> list[tuple[str, int, str]]:
        """Tone, number and name of each part of the bar."""
        return [
            ("good", self.succeeded, "done"),
            ("bad", self.failed, "failed"),
            ("idle", self.skipped, "up to date"),
            ("plain", self.ended, "ended, not collected yet"),
            ("live", self.in_flight, "in flight"),
        ]


def numbers_of(batch: TaskBatch) -> Numbers | None:
    """The newest numbers in the database; None while the batch is being planned."""
    if batch.group != "live" and batch.summary is not None:
        return of_summary(batch.summary)
    return _of_progress(batch)


def of_summary(summary: BatchSummary) -> Numbers:
    """The final numbers."""
    worked = summary.succeeded + summary.failed + summary.cancelled - summary.failed_before
    return Numbers(
        total=summary.total,
        succeeded=summary.succeeded,
        failed=summary.failed + summary.cancelled,
        skipped=summary.skipped,
        per_second=worked / summary.seconds if summary.seconds > 0 and worked > 0 else None,
    )


def _of_progress(batch: TaskBatch) -> Numbers | None:
    found = batch.progress
    if found is None:
        return None
    finished, failed, skipped = (int(found.get(name, 0)) for name in ("finished", "failed", "skipped"))
    is_live = batch.group == "live"
    return Numbers(
        total=int(found["total"]),
        succeeded=max(0, finished - failed - skipped),
        failed=failed,
        skipped=skipped,
        in_flight=int(found.get("in_flight", 0)) if is_live else 0,
        per_second=found.get("objects_per_second") or None,
        seconds_left=found.get("seconds_left") if is_live else None,
        looked_at=batch.progress_at,
    )
