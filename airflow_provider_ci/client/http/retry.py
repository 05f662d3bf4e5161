"""Whether and how often a request is repeated, and after which wait."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from airflow_provider_ci.client.errors import CIError, CIServiceError

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long to repeat a request whose error is retryable.

    The wait before attempt n is random between 0 and ``first_wait_seconds * 2**(n-2)``. It is capped at
    ``max_wait_seconds``, but is never shorter than the service's Retry-After. No attempt starts
    later than ``max_seconds`` after the first one. ``max_attempts=1`` turns retries off.
    """

    max_attempts: int = 6
    max_seconds: float = 120.0
    first_wait_seconds: float = 0.5
    max_wait_seconds: float = 20.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"RetryPolicy.max_attempts must be 1 or more, not {self.max_attempts!r}")
        for name in ("max_seconds", "first_wait_seconds", "max_wait_seconds"):
            if getattr(self, name) < 0:
                raise ValueError(f"RetryPolicy.{name} must be 0 or more, not {getattr(self, name)!r}")

    def run(self, sleep: Callable[[float], None], attempt: Callable[[A, B], T], first: A, second: B) -> T:
        """Attempt until there is a result, or no further attempt is allowed.

        :param sleep: waits for the given number of seconds.
        :param attempt: called with ``first`` and ``second``.
        :raises CIError: the last attempt's error, unchanged.
        """
        try:
            # Without tenacity: most first attempts succeed, and its setup costs as much as a signature.
            return attempt(first, second)
        except CIError as error:
            if not error.is_retryable:
                raise
            # tenacity gets this failure as its first attempt, so that it counts towards the limits.
            failures = [error]

        def go_on() -> T:
            if failures:
                raise failures.pop()
            return attempt(first, second)

        return self._retrying(sleep)(go_on)

    def _retrying(self, sleep: Callable[[float], None]) -> Retrying:
        """Return this policy as a tenacity object."""
        jitter = wait_random_exponential(multiplier=self.first_wait_seconds, max=self.max_wait_seconds)

        def wait(state: RetryCallState) -> float:
            return max(jitter(state), _retry_after(state))

        def stop(state: RetryCallState) -> bool:
            waited = state.seconds_since_start or 0.0
            too_late = max(waited, state.idle_for) + state.upcoming_sleep > self.max_seconds
            return state.attempt_number >= self.max_attempts or too_late

        return Retrying(
            retry=retry_if_exception(_is_retryable),
            wait=wait,
            stop=stop,
            sleep=sleep,
            before_sleep=_say,
            reraise=True,
        )


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, CIError) and error.is_retryable


def _say(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.info(
        "attempt %d failed, the next one in %.1f s: %s", state.attempt_number, state.upcoming_sleep, error
    )


def _retry_after(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return (error.retry_after or 0.0) if isinstance(error, CIServiceError) else 0.0
