"""The time: what the client reads and how it waits, in one place that a test can replace."""

from __future__ import annotations

import time


class Clock:
    """The machine's clock."""

    def now(self) -> float:
        """Unix seconds, as signatures need them."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never run backwards, as waiting needs them."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
