"""Waits while the service is unavailable, up to a limit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from airflow_provider_ci.client import CIError, QueuePausedError, SubmissionUnknownError

log = logging.getLogger(__name__)

T = TypeVar("T")

_LONGEST_WAIT = 30.0
_REPEAT_SECONDS = 60.0
"""A waiting batch logs this at once, and then at most once in this many seconds."""


def is_unavailable(error: CIError) -> bool:
    """Whether the service temporarily cannot work: it does not respond, is busy, or accepts no jobs."""
    return error.is_retryable or isinstance(error, QueuePausedError)


def retry_while_unavailable(
    step: Callable[[], T], *, limit_seconds: float, wait: Callable[[float], object], name: str = "waiting"
) -> T:
    """Repeat a step until it works, or the service has been unavailable for too long.

    The step must be safe to repeat. An unconfirmed submission is raised at once.

    :param wait: called with the seconds to wait; any exception from it ends the retries.
    :param name: name of the waiting task or batch, for the log.
    :raises CIError: the last error: after ``limit_seconds``, or at once if it is permanent.
    """
    began = time.monotonic()
    while True:
        try:
            return step()
        except CIError as error:
            away = time.monotonic() - began
            if not is_unavailable(error) or away > limit_seconds:
                raise
            log.warning("%s: the service is unavailable (%.0f s so far): %s", name, away, error)
        # The wait ends slightly beyond the limit, so that exactly one more attempt follows.
        wait(min(_LONGEST_WAIT, 1.0 + away / 10, max(limit_seconds - away, 0.0) + 0.01))


class Outage:
    """Tracks errors over the rounds of a batch.

    :param name: name of the waiting batch, for the log.
    :param limit_seconds: how long a batch may make no progress while errors occur.
    """

    def __init__(self, name: str, *, limit_seconds: float) -> None:
        self._name = name
        self._limit = limit_seconds
        self._since: float | None = None
        self._warned_at = float("-inf")
        self._moved = 0
        self.lost: SubmissionUnknownError | None = None
        """The last unconfirmed submission since the batch made progress."""
        self.is_over = True
        """Whether the last round had no errors."""
        self.is_full_queue = False
        """Whether the only problem is a full queue."""

    def note(self, error: CIError | None, *, moved: int) -> None:
        """Note the result of a round, and raise if the service has been unavailable for too long.

        A full queue does not count as unavailable.

        :param error: the error of the round, or None.
        :param moved: the number of accepted submissions and finished objects so far.
        :raises CIError: the last error, after ``limit_seconds``.
        """
        is_moving, self._moved = moved > self._moved, moved
        self.is_over = error is None and self.lost is None
        self.is_full_queue = getattr(error, "code", "") == "QueueSaturated"
        # The service accepts jobs again, so the lost response was a single failure and not an outage.
        if is_moving:
            self.lost = None
        error = error or self.lost
        # A queue takes 10,000 waiting jobs. A full queue empties as jobs end, which can take hours.
        if error is None or is_moving or self.is_full_queue:
            self._since = None
        if error is None:
            self._warned_at = float("-inf")
        else:
            self._wait_or_raise(error)

    def _wait_or_raise(self, error: CIError) -> None:
        now = time.monotonic()
        self._since = self._since or now
        away = now - self._since
        if away > self._limit:
            raise error
        if now - self._warned_at >= _REPEAT_SECONDS:
            self._warned_at = now
            log.warning("batch %s waits for the service (%.0f s so far): %s", self._name, away, error)
