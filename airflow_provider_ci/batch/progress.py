"""A batch while it runs, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A batch while it runs."""

    total: int
    finished: int
    failed: int
    in_flight: int
    seconds: float
    """Since this run began."""
    skipped: int = 0
    """Those of the finished ones that needed no job."""
    earlier: int = 0
    """Those of the finished ones that earlier runs of the batch finished."""

    @property
    def seconds_left(self) -> float | None:
        """Until the end at the rate so far; ``None`` until something has finished."""
        done = self.finished - self.skipped - self.earlier
        return (self.total - self.finished) * self.seconds / done if done > 0 else None
