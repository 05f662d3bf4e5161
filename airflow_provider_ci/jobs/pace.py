"""How long to wait between two looks at jobs."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

_LONGEST_OF_FEW = 8.5
"""Seconds. Ends are spread over the wait, so half of them are noticed within half of it, some 4 s."""
_FEW = 1000
_GROWTH = math.log10(30.0 / _LONGEST_OF_FEW)
"""Makes 30 s of 8.5 s when the number of jobs grows from 1,000 to 10,000."""
_IDLE_SHARE = 20
"""Where nothing has ended for long, a wait may take this part of that time."""
_FIRST_SHARE = 20
"""The first wait is a second for this many jobs."""


@dataclass(slots=True, kw_only=True)
class Pace:
    """How long to wait before the next look.

    After a look that saw jobs end, the next ones are spread evenly until the moment when all should have
    ended at the rate seen so far. After a look that saw none, the wait grows by half. No wait exceeds some
    9 seconds below 1,000 pending jobs, and 30 seconds at 10,000; where nothing has ended for minutes, waits
    grow slowly up to ``longest``. Each has a tenth of jitter.
    """

    shortest: float = 0.5
    """Seconds; no wait is shorter."""
    longest: float = 30.0
    """Seconds; no wait is longer."""
    _last: float = field(default=0.0, init=False)
    _finished: int = field(default=0, init=False)
    _moved_at: float = field(default=0.0, init=False)

    def wait_seconds(self, *, pending: int, finished: int, elapsed_seconds: float) -> float:
        """Seconds until the next look.

        :param finished: jobs that have ended since the wait began, ``elapsed_seconds`` ago.
        """
        is_moving, self._finished = finished > self._finished, finished
        if is_moving:
            self._moved_at = elapsed_seconds
        longest = self._longest(pending, elapsed_seconds - self._moved_at)
        if is_moving:
            left = pending * elapsed_seconds / finished
            looks = max(math.ceil(left / longest), 1)
            # The last one comes rather just after the end than just before it.
            wanted = left / looks if looks > 1 else left * 1.15 + 0.3
        else:
            wanted = self._last * 1.5 or pending / _FIRST_SHARE
        self._last = min(max(wanted, self.shortest), longest)
        return self._last * random.uniform(0.9, 1.1)  # noqa: S311 jitter, not a secret

    def _longest(self, pending: int, idle_seconds: float) -> float:
        of_number = _LONGEST_OF_FEW * math.pow(max(pending / _FEW, 1.0), _GROWTH)
        return min(self.longest, max(of_number, idle_seconds / _IDLE_SHARE))
