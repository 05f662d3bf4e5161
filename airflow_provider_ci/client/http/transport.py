"""Sends one signed request until it succeeds: pacing, signature, deadlines, retries."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from urllib3 import BaseHTTPResponse

from airflow_provider_ci import __version__
from airflow_provider_ci.client import signing
from airflow_provider_ci.client.errors import (
    AccessDeniedError,
    AuthenticationError,
    CIConnectionError,
    CIError,
    CIResponseError,
    CIServiceError,
    ClockSkewError,
    RequestExpiredError,
    SubmissionUnknownError,
    ThrottledError,
)
from airflow_provider_ci.client.http import deadline, forks
from airflow_provider_ci.client.http.adapter import (
    Adapter,
    Asked,
    SignedRequest,
    certificates,
    translated,
)
from airflow_provider_ci.client.http.address import Address, addresses
from airflow_provider_ci.client.http.clock import Clock, ServiceClock
from airflow_provider_ci.client.http.deadline import Deadline
from airflow_provider_ci.client.http.pacing import Pace
from airflow_provider_ci.client.http.request import Request, signed_url
from airflow_provider_ci.client.http.responses import Response, accepted
from airflow_provider_ci.client.http.retry import RetryPolicy
from airflow_provider_ci.client.http.upload import Upload
from airflow_provider_ci.client.signing import Credentials, CredentialSource
from airflow_provider_ci.client.wire.exchange import Exchange, Observer, read_whole
from airflow_provider_ci.client.wire.refusals import date_of

T = TypeVar("T")
Timeout = float | tuple[float, float] | tuple[float, float, float]

USER_AGENT = f"airflow-provider-ci/{__version__}"
SIGNATURE_STEP_SECONDS = 60
"""All signatures within this many seconds have the same time window, so the sign key is computed once."""
SIGNATURE_VALID_SECONDS = 900
CLOCK_TOLERANCE_SECONDS = 5
"""A request that was rejected for its time is signed again if the clock's estimate moved by this much."""
_MOST_CORRECTIONS = 3
"""More than one correction, because the service's clock may also jump after a wrong first guess."""
UNREADABLE = (ArithmeticError, LookupError, RecursionError, ValueError)
"""Exceptions that reading an unexpected response may raise."""


class _Sent(NamedTuple):
    """A request that was sent, and its response, whose body has not been read yet."""

    asked: Asked
    due: Deadline
    raw: BaseHTTPResponse


class Transport:
    """Sends requests for one bucket with the keys of one source. Thread-safe and fork-safe."""

    def __init__(
        self,
        credentials: CredentialSource,
        region: str,
        bucket: str,
        *,
        endpoint: str | None,
        ci_endpoint: str | None,
        timeout: Timeout,
        retry: RetryPolicy,
        requests_per_second: float | None,
        max_connections: int,
        verify: bool | str | os.PathLike[str],
        clock: Clock,
    ) -> None:
        self._source = credentials
        self._addresses = addresses(bucket, region, endpoint, ci_endpoint)
        connect_seconds, self._piece_seconds, self._total_seconds = _timeouts(timeout)
        self._retry = retry
        self.clock = ServiceClock(clock)
        self._pace = Pace(requests_per_second, clock)
        self._adapter = Adapter(
            {address.base for address in self._addresses.values()},
            verify=certificates(verify),
            max_connections=max_connections,
            connect_seconds=connect_seconds,
            read_seconds=self._piece_seconds,
        )
        self.observer: Observer | None = None
        forks.watch(self)

    def close(self) -> None:
        """Close all idle connections."""
        self._adapter.close()

    def after_fork(self) -> None:
        """Drop the parent's connections: processes that share one would read each other's responses."""
        self._adapter.after_fork()
        self.clock.after_fork()
        self._pace.after_fork()

    def send(self, request: Request, read: Callable[[Response], T]) -> T:
        """Send until the request succeeds, and return the result of ``read``.

        :raises CIError: the last attempt's error, when no further attempt is allowed.
        """
        return self._retry.run(self.clock.sleep, self._attempt, request, read)

    def signed_url(self, request: Request, valid_seconds: int) -> str:
        """Return the request as a URL that holds its own signature; nothing is sent."""
        now = int(self.clock.now())
        # The validity starts in the past, because the clock of another machine may be behind.
        key_time = signing.key_time(now - SIGNATURE_STEP_SECONDS, now + valid_seconds)
        key = self._source.current()
        return signed_url(key, self._addresses[request.service], request, key_time=key_time)

    def _attempt(self, request: Request, read: Callable[[Response], T]) -> T:
        self._pace.take()
        # Checked after the wait for a turn, which may have used up the remaining time.
        if request.expires_at is not None and self.clock.now() >= request.expires_at:
            raise RequestExpiredError(f"{request.method} {request.path} was not sent: it expired before")
        try:
            return self._send_or_sign_again(request, read)
        except CIError as error:
            outcome = self._outcome(error, request)
            if outcome is error:
                raise
            raise outcome from error

    def _outcome(self, error: CIError, request: Request) -> CIError:
        """Return the error of the whole request, given the error of one attempt."""
        # Only a repeated POST has a second effect; a second PUT or DELETE has the same result.
        may_be_accepted = request.method == "POST" and _may_have_been_accepted(error)
        # The service reports an expired signature as either of these errors (document/product/436/7730).
        is_about_time = isinstance(error, (ClockSkewError, AccessDeniedError))
        if is_about_time and self._is_late(request) and not may_be_accepted:
            return RequestExpiredError(str(error))
        # A full queue does not mean that we send too many requests per second.
        if isinstance(error, ThrottledError) and error.code != "QueueSaturated":
            self._pace.slow_down()
        if not may_be_accepted:
            return error
        # The service has no idempotency keys. Instead, the caller can search the listing for the job (see
        # jobs/submit.py).
        if request.submits is not None:
            input_key, output_key = request.submits
            return SubmissionUnknownError(input_key=input_key, output_key=output_key, reason=str(error))
        error.is_retryable = False  # a second attempt could take effect twice
        return error

    def _is_late(self, request: Request) -> bool:
        """Whether the request has expired. The service compares whole seconds, hence the rounding."""
        return request.expires_at is not None and self.clock.now() >= math.floor(request.expires_at)

    def _send_or_sign_again(self, request: Request, read: Callable[[Response], T]) -> T:
        """Send and read; sign again with a corrected time, or once with another key, if that may help.

        The estimate of the service's time may have changed since the request was signed, through this
        response or another thread's. These extra attempts do not count as retries.
        """
        key, corrections, is_key_new = self._source.current(), 0, False
        while True:
            offset = self.clock.offset
            try:
                return self._result(self._emit(request, key), request, read, offset)
            except CIServiceError as error:
                # An expired request is never signed for a later time, because a batch may rely on its expiry
                # as a fence (docs/protocol.md).
                is_about_time = isinstance(error, ClockSkewError) and not self._is_late(request)
                is_time_new = abs(self.clock.offset - offset) >= CLOCK_TOLERANCE_SECONDS
                if is_about_time and is_time_new and corrections < _MOST_CORRECTIONS:
                    corrections += 1
                    continue
                other = None if is_key_new or not _may_be_the_key(error) else self._source.replacing(key)
                if other is None:
                    raise
                key, is_key_new = other, True

    def _emit(self, request: Request, key: Credentials) -> _Sent:
        address = self._addresses[request.service]
        asked = Asked(request.method, address.host, request.path, address.base, request.submits)
        due = Deadline(self._total_seconds, self._piece_seconds)
        upload = request.body if isinstance(request.body, Upload) else None
        try:
            if upload:
                upload.open()
                due.extend(upload.size)
            with translated(asked):
                signed = self._sign(request, address, key)
                sent = self.clock.monotonic()
                deadline.begin(due)
                raw = self._adapter.send(signed)
        except CIConnectionError:
            # A read error of the file breaks the connection. The cause is local, so retries must not hide it.
            if upload and upload.failure:
                raise upload.failure from None
            raise
        finally:
            if upload:
                upload.close()
        self._learn_time(raw, sent)
        if self.observer is not None:
            raw = self._observed(self.observer, signed, raw, asked, sent)
        return _Sent(asked, due, raw)

    def _result(self, answered: _Sent, request: Request, read: Callable[[Response], T], offset: float) -> T:
        asked, due, raw = answered
        try:
            # Pass the time that the signature assumed, because this response may have changed the estimate of
            # the clock.
            return read(accepted(raw, request.success, asked, due, self.clock.monotonic() + offset))
        except CIResponseError as error:
            raise error.to(
                str(asked)
            ) from error  # the code that reads the response does not know the request
        except UNREADABLE as error:
            raise CIResponseError(f"{asked}: the response cannot be read: {error!r:.300}") from error
        finally:
            _release(raw)

    def _observed(
        self, observer: Observer, signed: SignedRequest, raw: BaseHTTPResponse, asked: Asked, sent: float
    ) -> BaseHTTPResponse:
        with translated(asked):
            body, again = read_whole(raw, asked.method)
        sent_body = signed.body if isinstance(signed.body, bytes) else b""
        exchange = Exchange(
            method=asked.method,
            url=signed.base + signed.target,
            request_headers=dict(signed.headers),
            request_body=sent_body,
            status=raw.status,
            response_headers=raw.headers,
            response_body=body,
            sent=sent,
            received=self.clock.monotonic(),
        )
        observer(exchange)
        return again

    def _learn_time(self, raw: BaseHTTPResponse, sent: float) -> None:
        date = date_of(raw.headers)
        if (
            date is not None and "Age" not in raw.headers
        ):  # "Age" means that a cache on the way sent an old Date
            self.clock.learn(date, sent=sent, received=self.clock.monotonic())

    def _sign(self, request: Request, address: Address, key: Credentials) -> SignedRequest:
        """Sign every header that may be signed, because a bucket in strict signature mode requires it."""
        body, headers = request.body, {"Host": address.host, **request.headers}
        # An empty body needs it too: without it, the service responds 411 MissingContentLength (436/7730).
        if body is not None:
            headers["Content-Length"] = str(body.size if isinstance(body, Upload) else len(body))
        if key.token:
            headers[address.token_header] = key.token
        authorization = signing.authorization(
            key,
            request.method,
            request.path,
            request.params,
            headers.items(),
            key_time=self._key_time(request),
        )
        # Not signed: proxies may change the last two, and strict mode does not require them (436/7778).
        headers |= {"Authorization": authorization, "User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        return SignedRequest(address.base, request.method, request.target, headers, body)

    def _key_time(self, request: Request) -> str:
        now = int(self.clock.now())
        # The window starts a step early, so that a server whose clock is behind accepts the request, too.
        start = now - now % SIGNATURE_STEP_SECONDS - SIGNATURE_STEP_SECONDS
        end = start + SIGNATURE_VALID_SECONDS
        if request.expires_at is not None:
            # The service compares whole seconds, and still accepts a request in the last second. The end is
            # the caller's deadline and does not depend on the estimate of the service's clock.
            end = min(end, math.floor(request.expires_at))
        return signing.key_time(start, end)


class Connected:
    """Base class of all groups of calls: a bucket in a region, and the client's transport."""

    region: str
    bucket: str
    _transport: Transport


def _timeouts(timeout: Timeout) -> tuple[float, float, float]:
    """Return the seconds to connect, to wait for each piece, and for a whole response.

    :raises ValueError: a number is not positive.
    """
    given = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    if len(given) not in (2, 3) or not all(each > 0 for each in given):
        raise ValueError(f"timeout must be one to three positive numbers of seconds, not {timeout!r}")
    connect, read, *rest = given
    return connect, read, rest[0] if rest else connect + read


def _may_be_the_key(error: CIServiceError) -> bool:
    """Whether another key could help. The service may report an expired token as AccessDenied."""
    return isinstance(error, AuthenticationError) or error.code == "AccessDenied"


def _may_have_been_accepted(error: CIError) -> bool:
    """Whether the service may have created a job in spite of this error."""
    if isinstance(error, CIServiceError):
        return not error.is_certain
    return not isinstance(error, CIConnectionError) or error.was_sent


def _release(raw: BaseHTTPResponse) -> None:
    """Return the connection to the pool; close it first if unread bytes would corrupt the next response."""
    if not raw.closed:
        raw.close()
    raw.release_conn()
