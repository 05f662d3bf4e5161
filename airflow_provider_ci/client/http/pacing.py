"""How many requests a client sends per second, over all its threads."""

from __future__ import annotations

import threading
from math import inf

from airflow_provider_ci.client.http.clock import Clock

BURST_SECONDS = 0.1
"""Threads that wake up late may catch up by this many seconds; more would be a burst of requests."""
SLOWEST_PART = 64
"""The rate never falls below the full rate divided by this."""
SLOWEST_FULL_RATE = 20.0
"""Minimum for the full rate, in requests per second, when it is derived from the rate at an overload."""
STEPS = 10
"""After an overload, the full rate is restored in this many steps of one second."""


class Pace:
    """Spaces requests evenly: each request takes the next free turn and waits for it.

    :meth:`slow_down` halves the rate. Further calls within a second have no effect, because many threads
        report the same overload. Afterwards the rate grows by a tenth of the full rate per second. Without a
        configured limit, the full rate is the measured rate at which the overload began; when it is reached
        again, the limit is removed.
    """

    def __init__(self, per_second: float | None, clock: Clock) -> None:
        if per_second is not None and not per_second > 0:
            raise ValueError(f"requests_per_second must be above 0, not {per_second!r}")
        self._is_limited = per_second is not None
        self._full_rate = self._rate = inf if per_second is None else float(per_second)
        self._clock = clock
        self._lock = threading.Lock()
        self._next_free = self._last_change = self._counted_since = clock.monotonic()
        self._count = 0
        self._counted_rate = 0.0

    @property
    def rate(self) -> float:
        """The current limit in requests per second; infinite if there is no limit."""
        return self._rate

    def take(self) -> None:
        """Wait for the next turn."""
        if self._rate == inf:
            self._count_one(
                self._clock.monotonic()
            )  # a race between threads may lose a count, which does no harm
            return
        wait = self._reserve()
        if wait > 0:
            self._clock.sleep(wait)

    def slow_down(self) -> None:
        """Halve the rate after the service reported an overload."""
        with self._lock:
            now = self._clock.monotonic()
            if self._rate == inf:
                self._full_rate = self._rate = max(self._measured(now), SLOWEST_FULL_RATE)
                self._next_free = now
            elif self._rate < self._full_rate and now - self._last_change < 1:
                return
            self._rate = max(self._rate / 2, self._full_rate / SLOWEST_PART)
            self._last_change = now

    def after_fork(self) -> None:
        """Replace the lock, which another thread of the parent may have held."""
        self._lock = threading.Lock()

    def _reserve(self) -> float:
        with self._lock:
            now = self._clock.monotonic()
            self._recover(now)
            if self._rate == inf:
                return 0.0
            start = max(self._next_free, now - BURST_SECONDS)
            self._next_free = start + 1 / self._rate
            return start - now

    def _count_one(self, now: float) -> None:
        self._count += 1
        seconds = now - self._counted_since
        if seconds >= 1:
            self._counted_rate = self._count / seconds
            self._counted_since, self._count = now, 0

    def _measured(self, now: float) -> float:
        """Requests per second in the last full second or in the current one, whichever is higher."""
        return max(self._counted_rate, self._count / max(now - self._counted_since, 1.0))

    def _recover(self, now: float) -> None:
        steps = int(now - self._last_change)
        if self._rate < self._full_rate and steps > 0:
            self._rate = min(self._full_rate, self._rate + steps * self._full_rate / STEPS)
            self._last_change += steps
            if self._rate == self._full_rate and not self._is_limited:
                self._full_rate = self._rate = inf
                # Nothing was counted while the limit was in effect, so counting starts anew.
                self._counted_since, self._count, self._counted_rate = now, 0, 0.0
