"""One signed request, sent until it is answered: pacing, signature, timeouts, repetition, status to error."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from urllib3 import BaseHTTPResponse

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
from airflow_provider_ci.client.clock import Clock
from airflow_provider_ci.client.errors import (
    CIConnectionError,
    CIError,
    CIResponseError,
    CIServiceError,
    ClockSkewError,
    SubmissionUnknownError,
    ThrottledError,
)
from airflow_provider_ci.client.objects import Upload
from airflow_provider_ci.client.pacing import TokenBucket
from airflow_provider_ci.client.refusals import refusal
from airflow_provider_ci.client.request import Request
from airflow_provider_ci.client.retry import RetryPolicy
from airflow_provider_ci.client.signing import Credentials
from airflow_provider_ci.client.urls import signed_url

T = TypeVar("T")

USER_AGENT = "airflow-provider-ci"
SIGNATURE_STEP_SECONDS = 60
"""Signatures of one minute share their time window and with it the sign key."""
SIGNATURE_VALID_SECONDS = 900
CLOCK_TOLERANCE_SECONDS = 5
"""A server's clock this close to ours (as corrected) teaches nothing."""


class Transport:
    """Sends requests for one bucket with one key; thread-safe."""

    def __init__(
        self,
        credentials: Credentials,
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
        self._credentials = credentials
        self._addresses = addresses(bucket, region, endpoint)
        self._timeout = connect, read
        self._retrying = retry.retrying(clock)
        self._bucket = TokenBucket(requests_per_second, clock) if requests_per_second is not None else None
        self._verify = certificates(verify)
        self._clock = clock
        self._clock_offset = 0.0
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
        now = int(self._now())
        key_time = signing.key_time(now - SIGNATURE_STEP_SECONDS, now + valid_seconds)
        return signed_url(self._credentials, self._addresses[request.service], request, key_time=key_time)

    def _attempt(self, request: Request, read: Callable[[Answer], T]) -> T:
        if self._bucket:
            self._bucket.take()
        try:
            return self._exchange_on_time(request, read)
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

    def _exchange_on_time(self, request: Request, read: Callable[[Answer], T]) -> T:
        """Exchange; where the clocks differ, take over the service's time and do it once more."""
        try:
            return self._exchange(request, read)
        except ClockSkewError as error:
            if not self._learn_time(error.server_time):
                raise
            return self._exchange(request, read)

    def _learn_time(self, server_time: float | None) -> bool:
        if server_time is None or abs(server_time - self._now()) < CLOCK_TOLERANCE_SECONDS:
            return False
        self._clock_offset = server_time - self._clock.now()
        return True

    def _now(self) -> float:
        """The service's time as far as it is known."""
        return self._clock.now() + self._clock_offset

    def _exchange(self, request: Request, read: Callable[[Answer], T]) -> T:
        address = self._addresses[request.service]
        asked = Asked(request.method, address.host, request.path, address.base, request.submits)
        raw = self._emit(request, address, asked)
        try:
            if not 200 <= raw.status < 300:
                raise self._refusal(raw, request, asked)
            return read(Answer(raw, asked))
        except CIResponseError as error:
            raise error.to(str(asked)) from error
        finally:
            _give_back(raw)

    def _emit(self, request: Request, address: Address, asked: Asked) -> BaseHTTPResponse:
        upload = request.body if isinstance(request.body, Upload) else None
        try:
            if upload:
                upload.open()
            with translated(asked):
                signed = self._sign(request, address)
                answer = self._adapter.send(signed, stream=True, timeout=self._timeout, verify=self._verify)
        except CIConnectionError:
            if upload and upload.failure:
                raise upload.failure from None
            raise
        finally:
            if upload:
                upload.close()
        raw: BaseHTTPResponse = answer.raw
        return raw

    def _sign(self, request: Request, address: Address) -> SignedRequest:
        headers = {"Host": address.host, **request.headers}
        if self._credentials.token:
            headers[address.token_header] = self._credentials.token
        authorization = signing.authorization(
            self._credentials,
            request.method,
            request.path,
            request.params,
            headers.items(),
            key_time=self._key_time(),
        )
        headers |= {"Authorization": authorization, "User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        body = request.body
        if body is not None:
            headers["Content-Length"] = str(body.size if isinstance(body, Upload) else len(body))
        return SignedRequest(request.method, address.base, request.target, headers, body)

    def _key_time(self) -> str:
        now = int(self._now())
        start = now - now % SIGNATURE_STEP_SECONDS - SIGNATURE_STEP_SECONDS
        return signing.key_time(start, start + SIGNATURE_VALID_SECONDS)

    def _refusal(self, raw: BaseHTTPResponse, request: Request, asked: Asked) -> CIServiceError:
        body = b""
        with suppress(CIConnectionError), translated(asked):  # the status alone is a refusal, too
            body = read_bounded(raw)
        return refusal(raw.status, raw.headers, body, asked=str(asked), path=request.path, now=self._now())


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
