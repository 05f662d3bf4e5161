"""HTTP only: from a request to its service, and from whatever is raised to an error answer."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from base64 import b64encode
from collections.abc import Mapping
from secrets import token_hex
from typing import Protocol

from aiohttp import ClientError, web

from airflow_provider_ci.client.signing import Credentials
from airflow_provider_ci.local.errors import Service, ServiceError, reason_of, status_of
from airflow_provider_ci.local.hosts import pages
from airflow_provider_ci.local.hosts.pages import Pages
from airflow_provider_ci.local.http import auth, wire
from airflow_provider_ci.local.http.answer import Answer, disconnect, send, stamp
from airflow_provider_ci.local.http.faults import Fault, Faults
from airflow_provider_ci.local.http.request import (
    Address,
    Request,
    from_http,
    is_loopback,
    parse_host,
    request_id,
)

FAULTS_PATH = "/_local/faults"

_log = logging.getLogger(__name__)

_NOWHERE = Address(service=Service.COS, bucket="", region="")


class Operations(Protocol):
    """The operations behind one kind of host."""

    async def answer(self, request: Request) -> Answer:
        """Do what the request asks for.

        :raises ServiceError: it is refused.
        """


class App:
    """The handler of every request; ``latency_seconds`` are waited before each answer."""

    def __init__(
        self,
        credentials: Credentials,
        services: Mapping[Service, Operations],
        faults: Faults,
        pages: Pages,
        *,
        latency_seconds: float,
    ) -> None:
        self._credentials = credentials
        self._services = services
        self._faults = faults
        self._pages = pages
        self._latency_seconds = latency_seconds

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        now = time.time()
        try:
            request = from_http(http, now)
            if is_loopback(request.host) and request.path == FAULTS_PATH:
                return await self._control(request)
            if is_loopback(request.host) and request.path.startswith(pages.FOLDER):
                return await send(await asyncio.to_thread(self._pages.answer, request), http)
            request.address = parse_host(request.host)
        except ServiceError as error:
            answer = _refusal(error, _NOWHERE, http.method, http.raw_path, request_id(now))
            return await send(stamp(answer, Service.COS, request_id(now), now), http)
        return await self._serve(request, self._faults.take(request))

    async def _serve(self, request: Request, fault: Fault | None) -> web.StreamResponse:
        if fault is None:
            return await self._send(request, await self._answer(request), self._latency_seconds)
        if fault.action == "cut_before":
            return disconnect(request.http)
        await asyncio.sleep(fault.wait_seconds("slow"))
        request.now += fault.wait_seconds("slow")  # as if it had been on its way for so long
        request.skew_seconds = fault.wait_seconds("clock")
        answer = Answer() if fault.action == "error" else await self._answer(request)
        if fault.action in ("error", "error_after"):
            answer.close()
            answer = _refused(fault.error(request), request)
        wait_seconds = self._latency_seconds + fault.wait_seconds("late")
        return await self._send(request, answer, wait_seconds, fault.action)

    async def _send(
        self, request: Request, answer: Answer, wait_seconds: float, action: str = ""
    ) -> web.StreamResponse:
        try:
            if wait_seconds:
                await asyncio.sleep(wait_seconds)
            if action == "cut_after":
                return disconnect(request.http)
            return await send(answer, request.http, cut=action == "truncate")
        finally:
            answer.close()

    async def _answer(self, request: Request) -> Answer:
        service = request.address.service
        try:
            auth.verify(request, self._credentials)
            answer = await self._services[service].answer(request)
        except Exception as raised:
            return _refused(_translated(raised, request), request)
        return stamp(answer, service, request.request_id, request.server_time)

    async def _control(self, request: Request) -> web.StreamResponse:
        """Read, add to and clear the faults; only for requests that name this machine itself as host."""
        try:
            if request.method == "POST":
                await self._add_faults(request)
            elif request.method == "DELETE":
                self._faults.clear()
            elif request.method != "GET":
                return web.json_response({"error": "GET, POST and DELETE are known"}, status=405)
        except (ValueError, RecursionError, ServiceError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"faults": self._faults.pending()})

    async def _add_faults(self, request: Request) -> None:
        # A page in a browser cannot send this content type to another origin without being asked first.
        if request.header("Content-Type").partition(";")[0].strip().lower() != "application/json":
            raise ValueError("the body must be application/json")
        given = json.loads(await request.body())
        for item in given if isinstance(given, list) else [given]:
            if not isinstance(item, dict):
                raise ValueError("a fault is a JSON object, several are a list of them")
            self._faults.add_mapping(item)


def _translated(raised: Exception, request: Request) -> ServiceError:
    """What is not a refusal: the client went away, or the server is at fault (a full disk, a defect)."""
    if isinstance(raised, ServiceError):
        return raised
    if isinstance(raised, ConnectionError | ClientError | web.RequestPayloadError):
        return ServiceError("IncompleteBody", "the connection ended before the body did", status=400)
    _log.error("%s %s failed", request.method, request.path, exc_info=raised)
    return ServiceError("InternalError", f"the local CI failed: {reason_of(raised)}")


def _refused(error: ServiceError, request: Request) -> Answer:
    """The stamped answer to a request that is refused."""
    resource = request.host + request.path
    answer = _refusal(error, request.address, request.method, resource, request.request_id)
    return stamp(answer, request.address.service, request.request_id, request.server_time)


def _refusal(error: ServiceError, address: Address, method: str, resource: str, request_id: str) -> Answer:
    """The error's answer; HEAD and 304 have no body."""
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
