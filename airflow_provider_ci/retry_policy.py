"""Decides which failures of a task are retried, and after which delay (Airflow 3.3 and newer)."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_ci import compat
from airflow_provider_ci.batch import (
    BatchFailedError,
    BatchRunningError,
    OutputTemplateError,
    QueueStaysPausedError,
)
from airflow_provider_ci.batch.errors import is_worth_waiting
from airflow_provider_ci.batch.results import RETRYABLE_JOB_CODES
from airflow_provider_ci.client import (
    AccessDeniedError,
    AuthenticationError,
    CIConnectionError,
    CIError,
    CIServiceError,
    InvalidRequestError,
    JobFailedError,
    ServerError,
)
from airflow_provider_ci.hooks import ConnectionConfigError
from airflow_provider_ci.sensors import JobsFailedError

compat.require_retry_policies()
from airflow.sdk import RetryDecision, RetryPolicy  # noqa: E402 # where they are missing, the line above says so

if TYPE_CHECKING:
    from airflow.sdk import Context

_MAX_REASON = 500
"""Maximum length of the reason in characters: the size of Airflow's database column."""

_HEAL = (BatchRunningError, QueueStaysPausedError)
"""Errors that go away when another run ends, or when the queue is resumed."""
_HOPELESS = (
    *(AccessDeniedError, AuthenticationError, InvalidRequestError, ServerError, JobFailedError),
    *(BatchFailedError, JobsFailedError, ConnectionConfigError, OutputTemplateError),
)
"""Errors that stay until a user changes something, unless the error itself is retryable."""
_HOPELESS_CODES = frozenset({"NoSuchBucket", "QueueNotFound", "TemplateNotFound"})
"""Permanent "not found" codes. A missing object may still arrive, so Airflow's own rules decide about it."""
_OPEN_CODES = frozenset({"ExpiredToken"})
"""An expired token is a permanent error in a connection, but the token of a role is renewed."""


class CIRetryPolicy(RetryPolicy):
    """Retries failures that may pass, fails permanent ones at once, and leaves the rest to Airflow.

    These failures are retried: too many requests, a full or paused queue, no connection, a failing service, a
    batch that ran out of time or that another run is processing. For these failures, the delay doubles with
    every try, with a tenth of jitter, and is never shorter than the service asks for. These failures are
    permanent: a wrong key, a refused permission, an unknown bucket, a request that makes no sense, an
    incomplete connection, an output template that cannot work, and jobs that failed for reasons of their own.
    The task's ``retries`` still limits the number of tries, and its ``retry_delay`` still applies to all
    other failures.

    :param first_delay: delay before the second try.
    :param longest_delay: maximum delay, unless the service asks for a longer one.
    """

    def __init__(
        self,
        *,
        first_delay: timedelta = timedelta(seconds=30),
        longest_delay: timedelta = timedelta(minutes=15),
    ) -> None:
        self.first_delay = first_delay
        self.longest_delay = longest_delay

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        """Decide: retry, fail, or leave the decision to Airflow."""
        said = f"{type(exception).__name__}: {exception}"
        if _heals(exception):
            reason = f"waiting may heal this: {said}"
            return RetryDecision.retry(self._delay(exception, try_number), reason[:_MAX_REASON])
        if _is_hopeless(exception):
            return RetryDecision.fail(f"no retry can heal this: {said}"[:_MAX_REASON])
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """The policy as plain JSON."""
        return {
            "first_delay": self.first_delay.total_seconds(),
            "longest_delay": self.longest_delay.total_seconds(),
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> CIRetryPolicy:
        """The policy from :meth:`serialize`."""
        return cls(**{name: timedelta(seconds=seconds) for name, seconds in data.items()})

    def _delay(self, error: BaseException, try_number: int) -> timedelta:
        doublings = min(max(try_number - 1, 0), 20)  # more doublings could exceed the range of a timedelta
        grown = min(self.first_delay * (1 << doublings), self.longest_delay)
        jittered = grown * random.uniform(0.9, 1.1)  # noqa: S311 jitter, not a secret
        asked = error.retry_after if isinstance(error, CIServiceError) else None
        return max(jittered, timedelta(seconds=asked or 0))


def _heals(error: BaseException) -> bool:
    if isinstance(error, JobFailedError):
        return error.job.code in RETRYABLE_JOB_CODES
    if isinstance(error, BatchFailedError):
        return error.is_retryable or bool(error.summary.unfinished or error.summary.cancelled)
    return isinstance(error, _HEAL) or (isinstance(error, CIError) and is_worth_waiting(error))


def _is_hopeless(error: BaseException) -> bool:
    if isinstance(error, CIServiceError) and error.code in _OPEN_CODES:
        return False
    if isinstance(error, CIServiceError) and error.code in _HOPELESS_CODES:
        return True
    if isinstance(error, CIConnectionError):
        return not error.was_sent  # the address or the certificate is wrong
    return isinstance(error, _HOPELESS)
