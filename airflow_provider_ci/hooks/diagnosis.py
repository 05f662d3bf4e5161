"""Tests a connection. A failure names the cause, the wrong value, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from threading import Thread
from typing import Any, NamedTuple, TypeVar

from airflow_provider_ci.client import (
    AccessDeniedError,
    CIClient,
    CIError,
    CIServiceError,
    RetryPolicy,
)

T = TypeVar("T")

DEADLINE_SECONDS = 8.0
"""Maximum time for all reads together, whatever the network does."""
CLIENT_OPTIONS: dict[str, Any] = {
    "timeout": (2.5, 2.5, 10.0),
    "retry": RetryPolicy(max_attempts=2, max_seconds=3, first_wait_seconds=0.2),
}
"""Settings of the client for a connection test: short timeouts, and one retry for temporary errors."""
NOTABLE_SKEW_SECONDS = 60

_UNBOUND = (
    "bucket {bucket} is not bound to CI: bind it in the CI console, and switch document processing on there"
)
_OTHER_REGION = "bucket {bucket} does not lie in region {region}: correct the extra 'region'"
_UNKNOWN_ID = "the service does not know {key}: correct the login, or take another source of credentials"
_WRONG_KEY = "the SecretKey does not belong to {key}: correct the password"
_CLOCK = (
    "this machine's clock is more than 15 minutes off, and the service's Date did not help: set the clock"
)
_DENIED = (
    "{key} may not read the {what}: allow it {action} on {bucket} in CAM; "
    "if it is a temporary key, check its token, too"
)
_EXPLANATIONS = {
    "AccessDenied": _DENIED,
    "ExpiredToken": "the token of {key} has expired: get a new temporary key",
    "InvalidAccessKeyId": _UNKNOWN_ID,
    "InvalidAuthorization": _WRONG_KEY,
    "MediaBucketUnBinded": _UNBOUND,
    "NoSuchBucket": "there is no bucket {bucket} in region {region}: correct the extra 'bucket' or 'region'",
    "PermanentRedirect": _OTHER_REGION,
    "RequestTimeTooSkewed": _CLOCK,
    "SecretidNotExist": _UNKNOWN_ID,
    "SignatureDoesNotMatch": _WRONG_KEY,
    "SignatureExpired": _CLOCK,
    "TemporaryRedirect": _OTHER_REGION,
}
"""Explanation by the service's code; for other codes, the message of the error is shown."""


class _Read(NamedTuple):
    """One read of a test: what it reads, the CAM action it needs, and the problem if the result is empty."""

    what: str
    action: str
    read: Callable[[CIClient], Any]
    if_empty: str = ""


_READS = (
    # Lists one key instead of sending HEAD, because a refused HEAD gives no reason.
    _Read("bucket", "cos:GetBucket", lambda client: client.list_objects_page(page_size=1)),
    _Read(
        "document queues",
        "ci:DescribeDocProcessQueues",
        lambda client: client.list_doc_queues(),
        "bucket {bucket} has no document queue: switch document processing on in the CI console",
    ),
    _Read(
        "state of document processing",
        "ci:DescribeDocProcessBuckets",
        lambda client: client.list_doc_buckets(bucket_names=[client.bucket]),
        "document processing is not enabled for bucket {bucket}: switch it on in the CI console",
    ),
)


class Diagnosis:
    """Reads once what a task will need, and then closes the client."""

    def __init__(self, client: CIClient, key: str) -> None:
        self._client = client
        self._values = {"bucket": client.bucket, "region": client.region, "key": key}
        self._reading = "bucket"

    def __call__(self) -> tuple[bool, str]:
        """Return whether everything can be read, and the text for Airflow; takes at most ten seconds."""
        try:
            return _within(DEADLINE_SECONDS, self._read_all)
        except TooLate:
            return False, (
                f"cannot read the {self._reading} of {self._client.bucket}: nothing complete came within "
                f"{DEADLINE_SECONDS:g} s; check the network, the firewall and the proxy"
            )

    def _read_all(self) -> tuple[bool, str]:
        with self._client:
            for each in _READS:
                problem = self._problem(each)
                if problem:
                    return False, problem
        return True, f"bucket {self._client.bucket} and its document queues can be read{self._skew()}"

    def _problem(self, each: _Read) -> str:
        self._reading = each.what
        values = {**self._values, "what": each.what, "action": each.action}
        try:
            found = each.read(self._client)
        except AccessDeniedError as error:
            if each is _READS[-1] and error.code == "AccessDenied":
                return ""  # no task needs this permission; the read only explains why there is no queue
            return self._explained(error, values)
        except CIError as error:
            return self._explained(error, values)
        return each.if_empty.format(**values) if each.if_empty and not found else ""

    def _explained(self, error: CIError, values: dict[str, str]) -> str:
        explanation = _EXPLANATIONS.get(_code_of(error), "")
        if explanation:
            return f"{explanation.format(**values)}. The service: {error}"
        return f"cannot read the {values['what']} of {values['bucket']}: {error}"

    def _skew(self) -> str:
        offset = self._client.clock_offset_seconds
        if abs(offset) < NOTABLE_SKEW_SECONDS:
            return ""
        side = "behind" if offset > 0 else "ahead of"
        return (
            f"; this machine's clock is {abs(offset):.0f} s {side} the service's: "
            "requests are signed with the service's time, but set the clock"
        )


def _code_of(error: CIError) -> str:
    if not isinstance(error, CIServiceError):
        return ""
    # The service uses several codes if document processing is not switched on; the text is always the same.
    return "MediaBucketUnBinded" if "unbinded" in error.message.lower() else error.code


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Return or raise what ``work`` does; if it takes too long, raise TooLate and let its thread run on."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, name="ci-connection-test", daemon=True).start()
    return future.result(timeout=seconds)
