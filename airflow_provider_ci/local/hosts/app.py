"""HTTP only: routes a request to its service, and turns exceptions into error responses."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import Mapping
from secrets import token_hex
from typing import Protocol

from aiohttp import ClientError, web

from airflow_provider_ci.client.signing import Credentials
from airflow_provider_ci.local.errors import Service, ServiceError, reason_of, status_of
from airflow_provider_ci.local.hosts import control
from airflow_provider_ci.local.hosts.control import Control
from airflow_provider_ci.local.hosts.faulty import Faulty
from airflow_provider_ci.local.http import auth, wire
from airflow_provider_ci.local.http.answer import Answer, send, stamp
from airflow_provider_ci.local.http.counts import RequestCounts
from airflow_provider_ci.local.http.faults import Fault, Faults
from airflow_provider_ci.local.http.request import (
    Address,
    Request,
    from_http,
    is_loopback,
    parse_host,
    request_id,
)
from airflow_provider_ci.local.http.traits import TraitSwitch
from airflow_provider_ci.local.pages.parts import FOLDER
from airflow_provider_ci.local.pages.site import Pages, is_browser

_log = logging.getLogger(__name__)

_NOWHERE = Address(service=Service.COS, bucket="", region="")


class Operations(Protocol):
    """The operations behind one kind of host."""

    async def answer(self, request: Request) -> Answer:
        """Do what the request asks for.

        :raises ServiceError: the request is refused.
        """


class App:
    """Handles every request; waits ``latency_seconds`` before each response."""

    def __init__(
        self,
        credentials: Credentials,
        services: Mapping[Service, Operations],
        faults: Faults,
        traits: TraitSwitch,
        counts: RequestCounts,
        pages: Pages,
        *,
        latency_seconds: float,
    ) -> None:
        self._credentials = credentials
        self._services = services
        self._faults = faults
        self._traits = traits
        self._counts = counts
        self._control = Control(faults, traits, counts)
        self._pages = pages
        self._latency_seconds = latency_seconds

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Handle one request and send the response."""
        now = self._traits.now()
        try:
            _check_method(http)
            request = from_http(http, now)
            if is_browser(request) or (is_loopback(request.host) and request.path.startswith(FOLDER)):
                return await self._send_own(request)
            request.address = parse_host(request.host)
        except ServiceError as error:
            answer = _refusal(error, _NOWHERE, http.method, http.raw_path, request_id(now))
            return await send(stamp(answer, Service.COS, request_id(now), now), http)
        self._counts.note(request)
        return await self._serve(request, self._faults.take(request))

    async def _send_own(self, request: Request) -> web.StreamResponse:
        """Send the response of the control API or of one of the local CI's own pages."""
        is_control = request.path in control.PATHS
        answer = await (self._control.answer(request) if is_control else self._pages.answer(request))
        try:
            return await send(answer, request.http)
        finally:
            answer.close()

    async def _serve(self, request: Request, fault: Fault | None) -> web.StreamResponse:
        if fault is None:
            return await self._send(request, await self._answer(request))
        faulty = Faulty(
            request=request, fault=fault, work=self._answer, refuse=_faulty_refusal, reply=self._send
        )
        return await faulty.serve()

    async def _send(self, request: Request, answer: Answer, cut: bool = False) -> web.StreamResponse:
        try:
            if self._latency_seconds:
                await asyncio.sleep(self._latency_seconds)
            return await send(answer, request.http, cut=cut)
        finally:
            answer.close()

    async def _answer(self, request: Request) -> Answer:
        service = request.address.service
        try:
            auth.verify(request, self._credentials, is_strict=self._traits.now_on.strict_signature)
            answer = await self._services[service].answer(request)
        except Exception as raised:
            return _refused(_translated(raised, request), request)
        return stamp(answer, service, request.request_id, request.server_time)


def _check_method(http: web.BaseRequest) -> None:
    """Refuse CONNECT: without ``--tls`` the server cannot speak TLS."""
    if http.method == "CONNECT":
        advice = "start the local CI with --tls, or let the client use http"
        raise ServiceError("NotImplemented", f"the local CI speaks no TLS here; {advice}", status=501)


def _faulty_refusal(request: Request, fault: Fault) -> Answer:
    return _refused(fault.error(request), request)


def _translated(raised: Exception, request: Request) -> ServiceError:
    """Turn other exceptions into service errors: a lost client, a full disk, a defect of the local CI."""
    if isinstance(raised, ServiceError):
        return raised
    if isinstance(raised, ConnectionError | ClientError | web.RequestPayloadError):
        return ServiceError("IncompleteBody", "the connection ended before the body did", status=400)
    _log.error("%s %s failed", request.method, request.path, exc_info=raised)
    return ServiceError("InternalError", f"the local CI failed: {reason_of(raised)}")


def _refused(error: ServiceError, request: Request) -> Answer:
    """The stamped response to a rejected request."""
    resource = request.host + request.path
    answer = _refusal(error, request.address, request.method, resource, request.request_id)
    return stamp(answer, request.address.service, request.request_id, request.server_time)


def _refusal(error: ServiceError, address: Address, method: str, resource: str, request_id: str) -> Answer:
    """The error's response; HEAD and 304 have no body."""
    status = error.status or status_of(address.service, error.code) or 500
    trace_id = b64encode(token_hex(16).encode()).decode()
    headers = {**error.headers, f"x-{address.service}-trace-id": trace_id}
    if method == "HEAD" or status == 304:
        return Answer(status=status, headers=headers)
    body = wire.error(
        address.service,
        error.code,
        error.message,
        resource=resource,
        request_id=request_id,
        trace_id=trace_id,
    )
    return Answer(status=status, body=body, headers=headers)
