"""One signed request, sent until it is answered: pacing, signature, timeouts, repetition, status to error."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from urllib3 import BaseHTTPResponse

from airflow_provider_ci import __version__
from airflow_provider_ci.client import signing
from airflow_provider_ci.client.adapter import (
    Adapter,
    Asked,
    SignedRequest,
    certificates,
    proxies_for,
    translated,
)
from airflow_provider_ci.client.address import Address, addresses
from airflow_provider_ci.client.answers import Answer, read_bounded
from airflow_provider_ci.client.clock import Clock, ServiceClock
from airflow_provider_ci.client.credentials import CredentialSource
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
from airflow_provider_ci.client.objects import Upload
from airflow_provider_ci.client.pacing import TokenBucket
from airflow_provider_ci.client.refusals import date_of, refusal
from airflow_provider_ci.client.request import Request
from airflow_provider_ci.client.retry import RetryPolicy
from airflow_provider_ci.client.signing import Credentials
from airflow_provider_ci.client.urls import signed_url

T = TypeVar("T")

USER_AGENT = f"airflow-provider-ci/{__version__}"
SIGNATURE_STEP_SECONDS = 60
"""Signatures of one minute share their time window and with it the sign key."""
SIGNATURE_VALID_SECONDS = 900
CLOCK_TOLERANCE_SECONDS = 5
"""A request that was refused for its time is signed again if the estimate has changed by this much since."""


class Transport:
    """Sends requests for one bucket with the keys of one source; thread-safe."""

    def __init__(
        self,
        credentials: CredentialSource,
        region: str,
        bucket: str,
        *,
        endpoint: str | None,
        timeout: float | tuple[float, float],
        retry: RetryPolicy,
        requests_per_second: float | None,
        max_connections: int,
        verify: bool | str | os.PathLike[str],
        clock: Clock,
    ) -> None:
        connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        if not (connect > 0 and read > 0):
            raise ValueError(f"timeout must be a positive number of seconds, not {timeout!r}")
        self._source = credentials
        self._addresses = addresses(bucket, region, endpoint)
        self._timeout = connect, read
        self._retrying = retry.retrying(clock)
        self.clock = ServiceClock(clock)
        self._bucket = TokenBucket(requests_per_second, clock) if requests_per_second is not None else None
        self._verify = certificates(verify)
        bases = {address.base for address in self._addresses.values()}
        self._adapter = Adapter(max_connections, {base: proxies_for(base) for base in bases})

    def close(self) -> None:
        """Close all idle connections."""
        self._adapter.close()

    def send(self, request: Request, read: Callable[[Answer], T]) -> T:
        """Send until there is an answer that ``read`` accepts, and return what it made of it.

        :raises CIError: the last one, when the request must not or need not be repeated any more.
        """
        result: T = self._retrying(self._attempt, request, read)
        return result

    def signed_url(self, request: Request, valid_seconds: int) -> str:
        """What was asked as a URL that holds its own signature; nothing is sent."""
        now = int(self.clock.now())
        key_time = signing.key_time(now - SIGNATURE_STEP_SECONDS, now + valid_seconds)
        key = self._source.current()
        return signed_url(key, self._addresses[request.service], request, key_time=key_time)

    def _attempt(self, request: Request, read: Callable[[Answer], T]) -> T:
        if self._bucket:
            self._bucket.take()
        self._require_time(request)
        try:
            return self._exchange_with_key(request, read)
        except (ClockSkewError, AccessDeniedError) as error:  # an expired signature may be called either
            if self._is_late(request):
                raise RequestExpiredError(str(error)) from error
            raise
        except ThrottledError as error:
            if self._bucket and error.code != "QueueSaturated":
                self._bucket.slow_down()
            raise
        except CIError as error:
            if request.method != "POST" or not _may_have_been_taken(error):
                raise
            if request.submits is None:
                error.is_retryable = False  # sent once more, it could do twice what it does
                raise
            raise SubmissionUnknownError(
                input_key=request.submits[0], output_key=request.submits[1], reason=str(error)
            ) from error

    def _require_time(self, request: Request) -> None:
        if request.expires_at is not None and self.clock.now() >= request.expires_at:
            raise RequestExpiredError(f"{request.method} {request.path} was not sent: its time is up")

    def _exchange_with_key(self, request: Request, read: Callable[[Answer], T]) -> T:
        """Exchange; where the service refuses the key and its source has another, do it once more."""
        key = self._source.current()
        try:
            return self._exchange_on_time(request, read, key)
        except CIServiceError as error:
            other = self._source.replacing(key) if _may_be_the_key(error) else None
            if other is None:
                raise
        return self._exchange_on_time(request, read, other)

    def _exchange_on_time(self, request: Request, read: Callable[[Answer], T], key: Credentials) -> T:
        """Exchange; sign once more if the service's time turned out to be another than it was signed with.

        This response may have shown it, or one that another thread got since.
        """
        offset = self.clock.offset
        try:
            return self._exchange(request, read, key)
        except ClockSkewError:
            if abs(self.clock.offset - offset) < CLOCK_TOLERANCE_SECONDS or self._is_late(request):
                raise
        return self._exchange(request, read, key)

    def _is_late(self, request: Request) -> bool:
        """Whether no signature of this request can be valid any more: the service reads whole seconds."""
        return request.expires_at is not None and self.clock.now() >= math.floor(request.expires_at)

    def _exchange(self, request: Request, read: Callable[[Answer], T], key: Credentials) -> T:
        address = self._addresses[request.service]
        asked = Asked(request.method, address.host, request.path, address.base, request.submits)
        offset = self.clock.offset
        raw = self._emit(request, address, asked, key)
        try:
            if not 200 <= raw.status < 300:
                raise self._refusal(raw, request, asked, offset)
            return read(Answer(raw, asked))
        except CIResponseError as error:
            raise error.to(str(asked)) from error
        finally:
            _give_back(raw)

    def _emit(self, request: Request, address: Address, asked: Asked, key: Credentials) -> BaseHTTPResponse:
        upload = request.body if isinstance(request.body, Upload) else None
        try:
            if upload:
                upload.open()
            with translated(asked):
                signed = self._sign(request, address, key)
                sent = self.clock.monotonic()
                answer = self._adapter.send(signed, stream=True, timeout=self._timeout, verify=self._verify)
        except CIConnectionError:
            if upload and upload.failure:
                raise upload.failure from None
            raise
        finally:
            if upload:
                upload.close()
        raw: BaseHTTPResponse = answer.raw
        self._learn_time(raw, sent)
        return raw

    def _learn_time(self, raw: BaseHTTPResponse, sent: float) -> None:
        date = date_of(raw.headers)
        if date is not None and "Age" not in raw.headers:  # what comes from a cache has an old date
            self.clock.learn(date, sent=sent, received=self.clock.monotonic())

    def _sign(self, request: Request, address: Address, key: Credentials) -> SignedRequest:
        headers = {"Host": address.host, **request.headers}
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
        headers |= {"Authorization": authorization, "User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        body = request.body
        if body is not None:
            headers["Content-Length"] = str(body.size if isinstance(body, Upload) else len(body))
        return SignedRequest(request.method, address.base, request.target, headers, body)

    def _key_time(self, request: Request) -> str:
        now = int(self.clock.now())
        start = now - now % SIGNATURE_STEP_SECONDS - SIGNATURE_STEP_SECONDS
        end = start + SIGNATURE_VALID_SECONDS
        if request.expires_at is not None:
            # The service reads whole seconds, and takes what comes in the last one. Where the estimate of its
            # clock is wrong, the end is right all the same.
            end = min(end, math.floor(request.expires_at))
        return signing.key_time(start, end)

    def _refusal(
        self, raw: BaseHTTPResponse, request: Request, asked: Asked, offset: float
    ) -> CIServiceError:
        body, is_cut = b"", True
        with suppress(CIConnectionError), translated(asked):  # the status alone is a refusal, too
            body, is_cut = read_bounded(raw), False
        signed_for = self.clock.monotonic() + offset
        error = refusal(raw.status, raw.headers, body, asked=str(asked), path=request.path, now=signed_for)
        error.is_retryable |= is_cut  # why, only a whole answer says
        return error


def _may_be_the_key(error: CIServiceError) -> bool:
    """Whether another key could help; a token that has expired is at times only called a denied access."""
    return isinstance(error, AuthenticationError) or error.code == "AccessDenied"


def _may_have_been_taken(error: CIError) -> bool:
    """Whether, after this error, a job may have been made."""
    if isinstance(error, CIServiceError):
        return not error.is_certain
    return not isinstance(error, CIConnectionError) or error.was_sent


def _give_back(raw: BaseHTTPResponse) -> None:
    """The connection to the pool if the answer was read to its end; otherwise it cannot serve again."""
    if not raw.closed:
        raw.close()
    raw.release_conn()
