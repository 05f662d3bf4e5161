"""Time: the machine's clocks, and the service's clock as its responses show it.

Three scales, kept apart:

- steady time advances evenly, even while the machine sleeps. Its zero is arbitrary, so it only measures
  durations;
- this machine's wall clock may be wrong or change at any moment, so it is only the first guess;
- the service's clock decides whether a signature is valid. It is steady time plus an offset, and the ``Date``
  of each response narrows that offset down.
"""

from __future__ import annotations

import threading
import time

DATE_RESOLUTION_SECONDS = 1.0
"""``Date`` has whole seconds, so the service's actual time was up to this many seconds later."""
SMALL_CORRECTION_SECONDS = 1.0
"""A correction below this is caused by drift, or by a difference between two of the service's machines."""

# Linux's CLOCK_MONOTONIC stops while the machine is suspended. A lease that is measured with it would seem to
# last longer than it does (docs/protocol.md, "The lease and the fence").
_BOOT_TIME = getattr(time, "CLOCK_BOOTTIME", None)


class Clock:
    """The machine's clocks, in one place that a test can replace."""

    def now(self) -> float:
        """Unix seconds by this machine's wall clock."""
        return time.time()

    def monotonic(self) -> float:
        """Steady seconds, including the time in suspend if the system has such a clock."""
        return time.monotonic() if _BOOT_TIME is None else time.clock_gettime(_BOOT_TIME)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class ServiceClock:
    """An estimate of the service's clock; thread-safe.

    Suppose that a request was sent at s, its response was received at r (steady time), and its ``Date`` is D.
    Then the offset is at least D - r and less than D + 1 - s. The bounds of all responses are combined. The
    estimate changes only when a response contradicts it, so the whole seconds of ``Date`` cause no jitter.
    """

    def __init__(self, machine: Clock) -> None:
        self._machine = machine
        self._lock = threading.Lock()
        self._offset = machine.now() - machine.monotonic()
        self._low, self._high = float("-inf"), float("inf")

    def now(self) -> float:
        """Unix seconds by the service's clock."""
        return self._machine.monotonic() + self._offset

    def monotonic(self) -> float:
        """Steady seconds, including the time in suspend if the system has such a clock."""
        return self._machine.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._machine.sleep(seconds)

    @property
    def offset(self) -> float:
        """Seconds from steady time to the service's time."""
        return self._offset

    @property
    def ahead_of_machine_seconds(self) -> float:
        """Seconds by which the service's clock is ahead of this machine's wall clock."""
        return self.now() - self._machine.now()

    def learn(self, date: float, *, sent: float, received: float) -> None:
        """Narrow the bounds with a response's ``Date`` and the steady times of its exchange."""
        low, high = date - received, date + DATE_RESOLUTION_SECONDS - sent
        if low <= self._low and self._high <= high:
            return  # the common case: the known bounds are at least as narrow
        with self._lock:
            # Bounds that contradict the older ones show that a clock has jumped. Then only the newest
            # response counts.
            if max(low, self._low) < min(high, self._high):
                low, high = max(low, self._low), min(high, self._high)
            self._low, self._high = low, high
            self._offset = _moved_into(low, high, self._offset)

    def after_fork(self) -> None:
        """Replace the lock, which another thread of the parent may have held."""
        self._lock = threading.Lock()


def _moved_into(low: float, high: float, offset: float) -> float:
    """Return the offset if it is within the bounds, else the nearest bound; after a jump, the middle."""
    if low <= offset < high:
        return offset
    nearest = low if offset < low else high
    return nearest if abs(nearest - offset) < SMALL_CORRECTION_SECONDS else (low + high) / 2
