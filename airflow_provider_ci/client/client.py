"""The client: all groups of calls over one transport."""

from __future__ import annotations

import os
from typing import Any, TypeVar

from airflow_provider_ci.client.buckets import BucketCalls
from airflow_provider_ci.client.documents import DocJobCalls
from airflow_provider_ci.client.http.address import endpoint_for
from airflow_provider_ci.client.http.clock import Clock, ServiceClock
from airflow_provider_ci.client.http.retry import RetryPolicy
from airflow_provider_ci.client.http.transport import Timeout, Transport
from airflow_provider_ci.client.jobs.any_job import AnyJobCalls
from airflow_provider_ci.client.objects import ObjectCalls
from airflow_provider_ci.client.pictures import PicJobCalls
from airflow_provider_ci.client.previews import PreviewCalls
from airflow_provider_ci.client.queues import QueueCalls
from airflow_provider_ci.client.signing import CredentialSource
from airflow_provider_ci.client.templates import TemplateCalls
from airflow_provider_ci.client.wire.exchange import Observer

C = TypeVar("C", bound="CIClient")


class CIClient(
    DocJobCalls,
    PicJobCalls,
    AnyJobCalls,
    QueueCalls,
    BucketCalls,
    TemplateCalls,
    PreviewCalls,
    ObjectCalls,
):
    """Jobs, queues, templates and objects of one bucket, over signed HTTP.

    The client is thread-safe and fork-safe, and has one pool of connections. Close it, or use it as a context
    manager. The retry policy repeats GET, HEAD, PUT and DELETE. It repeats a POST, such as a submission, only
    if the service certainly did not accept it. Every method raises the errors of
    :mod:`airflow_provider_ci.client.errors`, ValueError for invalid arguments, and OSError for a local file
    that cannot be read or written.

    :param credentials: :class:`.Credentials`, or a source that supplies them for each request.
    :param bucket: name of the bucket with its APPID, such as ``examplebucket-1250000000``.
    :param endpoint: where to connect instead of the service's host names, such as ``http://127.0.0.1:9000``.
    :param ci_endpoint: where to connect for jobs, queues and templates; ``endpoint`` by default.
    :param timeout: maximum seconds to connect, to wait for each piece of a response, and for a whole response
        (by default the sum of the first two; the bytes of an object may take longer). One number sets the
        first two.
    :param requests_per_second: limit for all threads together; None for no limit. With or without a limit,
        the client slows down while the service reports an overload.
    :param max_connections: maximum number of open connections; threads that need another one wait.
    :param verify: False to trust any certificate, or the path of a bundle of trusted ones.
    """

    def __init__(
        self,
        credentials: CredentialSource,
        region: str,
        bucket: str,
        *,
        endpoint: str | None = None,
        ci_endpoint: str | None = None,
        timeout: Timeout = (10.0, 60.0),
        retry: RetryPolicy | None = None,
        requests_per_second: float | None = None,
        max_connections: int = 64,
        verify: bool | str | os.PathLike[str] = True,
        _clock: Clock | None = None,
    ) -> None:
        self.region = region
        self.bucket = bucket
        self._credentials = credentials
        # Kept for for_bucket().
        self._options: dict[str, Any] = {
            "endpoint": endpoint,
            "ci_endpoint": ci_endpoint,
            "timeout": timeout,
            "retry": retry,
            "requests_per_second": requests_per_second,
            "max_connections": max_connections,
            "verify": verify,
            "_clock": _clock,
        }
        self._transport = Transport(
            credentials,
            region,
            bucket,
            endpoint=endpoint,
            ci_endpoint=ci_endpoint,
            timeout=timeout,
            retry=retry or RetryPolicy(),
            requests_per_second=requests_per_second,
            max_connections=max_connections,
            verify=verify,
            clock=_clock or Clock(),
        )

    def for_bucket(self, bucket: str, region: str) -> CIClient:
        """Return a client of another bucket, with the same keys and settings and its own connections.

        If an endpoint is a host name of this bucket, the new client uses the same name of the other bucket.
        """
        here, there = (self.bucket, self.region), (bucket, region)
        endpoints = {
            name: endpoint_for(self._options[name], here, there) for name in ("endpoint", "ci_endpoint")
        }
        return CIClient(self._credentials, region, bucket, **{**self._options, **endpoints})

    def __enter__(self: C) -> C:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def clock_offset_seconds(self) -> float:
        """Seconds by which the service's clock is ahead of this machine's, as estimated from responses."""
        return self.clock.ahead_of_machine_seconds

    @property
    def clock(self) -> ServiceClock:
        """The service's estimated clock, and a steady clock that keeps counting during a suspend."""
        return self._transport.clock

    def observe(self, observer: Observer | None) -> None:
        """Call ``observer`` with each :class:`.Exchange` from now on; None removes the observer.

        The client calls it in the thread of the request, before it decides whether the response is a success.
        Exchanges hold secrets.
        """
        self._transport.observer = observer

    def close(self) -> None:
        """Close all idle connections; a later call opens new ones."""
        self._transport.close()
