"""A log of events with their times."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Diary:
    """Prints events with the time since the start."""

    began: float = field(default_factory=time.monotonic)

    def note(self, what: str) -> None:
        """Print one event."""
        print(f"{time.monotonic() - self.began:6.0f} s  {what}", flush=True)
