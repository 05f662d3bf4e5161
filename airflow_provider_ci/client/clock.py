"""Time: the machine's clocks, and the service's clock as its responses show it.

Three scales, kept apart:

- steady time runs evenly, also while the machine sleeps, and starts anywhere: it measures durations;
- this machine's wall clock may be wrong, and may be set at any moment: it is only the first guess;
- the service's clock decides whether a signature is valid. It is steady time plus an offset, and the ``Date``
  of each response narrows that offset down.
"""

from __future__ import annotations

import threading
import time

DATE_RESOLUTION_SECONDS = 1.0
"""``Date`` has whole seconds, so the service's time was up to this much later."""
SMALL_CORRECTION_SECONDS = 1.0
"""Below this, two clocks have drifted apart, or two of the service's machines differ a little."""

_BOOT_TIME = getattr(time, "CLOCK_BOOTTIME", None)


class Clock:
    """The machine's clocks, in one place that a test can replace."""

    def now(self) -> float:
        """Unix seconds by this machine's wall clock."""
        return time.time()

    def monotonic(self) -> float:
        """Steady seconds, which go on while the machine is suspended (where the system has such a clock)."""
        return time.monotonic() if _BOOT_TIME is None else time.clock_gettime(_BOOT_TIME)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class ServiceClock:
    """The service's clock, estimated; thread-safe.

    A response with ``Date`` D, to a request that was sent at s and answered at r (steady time), says that the
    offset is at least D - r and less than D + 1 - s. The bounds of all responses are combined. The estimate
    only moves when a response contradicts it, and so does not jitter with the whole seconds.
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
        """Steady seconds, which go on while the machine is suspended."""
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
        """How far the service's clock is ahead of this machine's wall clock."""
        return self.now() - self._machine.now()

    def learn(self, date: float, *, sent: float, received: float) -> None:
        """Take in the ``Date`` of a response, and the steady times between which the service wrote it."""
        low, high = date - received, date + DATE_RESOLUTION_SECONDS - sent
        if low <= self._low and self._high <= high:
            return  # nearly always: the bounds are narrower already
        with self._lock:
            if max(low, self._low) < min(high, self._high):
                low, high = max(low, self._low), min(high, self._high)
            self._low, self._high = low, high
            self._offset = _moved_into(low, high, self._offset)

    def after_fork(self) -> None:
        """Forget the lock, which another thread may have held."""
        self._lock = threading.Lock()


def _moved_into(low: float, high: float, offset: float) -> float:
    """The offset if it is between the bounds; else the nearest one after a drift, the middle after a jump."""
    if low <= offset < high:
        return offset
    nearest = low if offset < low else high
    return nearest if abs(nearest - offset) < SMALL_CORRECTION_SECONDS else (low + high) / 2
