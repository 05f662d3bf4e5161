"""The progress of a running batch, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The numbers of a running batch."""

    total: int
    finished: int
    failed: int
    in_flight: int
    seconds: float
    """Seconds since this run began."""
    skipped: int = 0
    """Number of finished objects that needed no job."""
    earlier: int = 0
    """Number of finished objects that earlier runs of the batch finished."""

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end at the rate so far; ``None`` until this run has finished an object."""
        done = self.finished - self.skipped - self.earlier
        return (self.total - self.finished) * self.seconds / done if done > 0 else None
