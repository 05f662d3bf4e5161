"""How long to wait between two polls of jobs."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

_LONGEST_OF_FEW = 8.5
"""Longest wait in seconds below 1,000 jobs. Jobs end evenly within it: the median delay is about 4 s."""
_FEW = 1000
_GROWTH = math.log10(30.0 / _LONGEST_OF_FEW)
"""Exponent with which the wait grows from 8.5 s at 1,000 jobs to 30 s at 10,000."""
_IDLE_SHARE = 20
"""If no job has ended for some time, a wait may take up to that time divided by this."""
_FIRST_SHARE = 20
"""The first wait is one second per this many jobs."""


@dataclass(slots=True, kw_only=True)
class Pace:
    """How long to wait before the next poll.

    After a poll that found ended jobs, the next polls are spread evenly over the time in which the other jobs
    should end at the current rate. After a poll that found no ended job, the wait grows by half. A wait is
    limited to about 9 seconds below 1,000 pending jobs, and to 30 seconds at 10,000. If no job has ended for
    minutes, waits grow slowly up to ``longest``. Each wait has 10 % jitter.
    """

    shortest: float = 0.5
    """Minimum wait in seconds."""
    longest: float = 30.0
    """Maximum wait in seconds."""
    _last: float = field(default=0.0, init=False)
    _finished: int = field(default=0, init=False)
    _moved_at: float = field(default=0.0, init=False)

    def wait_seconds(self, *, pending: int, finished: int, elapsed_seconds: float) -> float:
        """Return the seconds until the next poll.

        :param pending: number of jobs that have not ended.
        :param finished: number of jobs that have ended since waiting began, ``elapsed_seconds`` ago.
        """
        is_moving, self._finished = finished > self._finished, finished
        if is_moving:
            self._moved_at = elapsed_seconds
        longest = self._longest(pending, elapsed_seconds - self._moved_at)
        if is_moving:
            left = pending * elapsed_seconds / finished
            polls = max(math.ceil(left / longest), 1)
            # The last poll is planned a little late, because a poll just before the last job ends is wasted.
            wanted = left / polls if polls > 1 else left * 1.15 + 0.3
        else:
            wanted = self._last * 1.5 or pending / _FIRST_SHARE
        self._last = min(max(wanted, self.shortest), longest)
        # Tasks that were started together must not poll together.
        return self._last * random.uniform(0.9, 1.1)  # noqa: S311 jitter, not a secret

    def _longest(self, pending: int, idle_seconds: float) -> float:
        of_number = _LONGEST_OF_FEW * math.pow(max(pending / _FEW, 1.0), _GROWTH)
        return min(self.longest, max(of_number, idle_seconds / _IDLE_SHARE))
