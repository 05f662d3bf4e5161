"""How many requests a client sends per second, over all its threads."""

from __future__ import annotations

import threading

from airflow_provider_ci.client.clock import Clock

BURST_SECONDS = 0.1
"""Threads that wake late may catch up by this much; more would be a burst that the service notices."""
SLOWEST_PART = 64
"""The rate never falls below this part of the full rate."""
STEPS = 10
"""The full rate comes back in this many steps of one second."""


class TokenBucket:
    """Tokens come at a steady rate; each request takes one, and waits for it.

    :meth:`slow_down` halves the rate, at most once a second, since many threads hear of the same overload.
    Afterwards it grows by a tenth of the full rate per second.
    """

    def __init__(self, per_second: float, clock: Clock) -> None:
        if not per_second > 0:
            raise ValueError(f"requests_per_second must be above 0, not {per_second!r}")
        self._full_rate = self._rate = float(per_second)
        self._clock = clock
        self._lock = threading.Lock()
        self._next_free = self._last_change = clock.monotonic()

    @property
    def rate(self) -> float:
        """Requests per second at present."""
        return self._rate

    def take(self) -> None:
        """Wait for the next token."""
        wait = self._reserve()
        if wait > 0:
            self._clock.sleep(wait)

    def slow_down(self) -> None:
        """Halve the rate: the service has said that it is too much."""
        with self._lock:
            now = self._clock.monotonic()
            if self._rate < self._full_rate and now - self._last_change < 1:
                return
            self._rate = max(self._rate / 2, self._full_rate / SLOWEST_PART)
            self._last_change = now

    def _reserve(self) -> float:
        with self._lock:
            now = self._clock.monotonic()
            self._recover(now)
            start = max(self._next_free, now - BURST_SECONDS)
            self._next_free = start + 1 / self._rate
            return start - now

    def _recover(self, now: float) -> None:
        steps = int(now - self._last_change)
        if self._rate < self._full_rate and steps > 0:
            self._rate = min(self._full_rate, self._rate + steps * self._full_rate / STEPS)
            self._last_change += steps
