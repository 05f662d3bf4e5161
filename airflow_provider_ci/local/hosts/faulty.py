"""Handles a request that matches a fault."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate

from aiohttp import web

from airflow_provider_ci.local.http.answer import Answer, continue_for_ever, disconnect, drip
from airflow_provider_ci.local.http.faults import PARTS, Fault
from airflow_provider_ci.local.http.request import Request

_CONTINUE_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulty:
    """One request, its fault, and what the server would do without the fault.

    ``work`` carries the request out, ``refuse`` makes the error that the fault names, and ``reply``
    sends a response: half of it if its third argument is true.
    """

    request: Request
    fault: Fault
    work: Callable[[Request], Awaitable[Answer]]
    refuse: Callable[[Request, Fault], Answer]
    reply: Callable[[Request, Answer, bool], Awaitable[web.StreamResponse]]

    async def serve(self) -> web.StreamResponse:
        """Let the fault happen."""
        return await _ACTIONS[self.fault.action](self)

    @property
    def seconds(self) -> float:
        """The fault's ``seconds``; 0 if not given."""
        return self.fault.seconds or 0

    async def error(self) -> web.StreamResponse:
        """Refuse the request without doing its work."""
        return await self.reply(self.request, self.refuse(self.request, self.fault), False)

    async def error_after(self) -> web.StreamResponse:
        """Do the work, but respond with the error."""
        (await self.work(self.request)).close()
        return await self.error()

    async def page(self) -> web.StreamResponse:
        """Send a page that is not the service's own."""
        return await self.reply(self.request, _page(self.request, self.fault), False)

    async def page_after(self) -> web.StreamResponse:
        """Do the work, and send a page in place of the response."""
        (await self.work(self.request)).close()
        return await self.page()

    async def slow(self) -> web.StreamResponse:
        """Wait, then do the work."""
        await asyncio.sleep(self.seconds)
        self.request.now += self.seconds
        return await self.reply(self.request, await self.work(self.request), False)

    async def late(self) -> web.StreamResponse:
        """Do the work at once, and respond later."""
        answer = await self.work(self.request)
        try:
            await asyncio.sleep(self.seconds)
        except BaseException:
            answer.close()
            raise
        return await self.reply(self.request, answer, False)

    async def taken_late(self) -> web.StreamResponse:
        """Close the connection at once, and do the work later."""
        await self.request.keep_body()
        response = disconnect(self.request.http)
        await asyncio.sleep(self.seconds)
        self.request.now += self.seconds
        (await self.work(self.request)).close()
        return response

    async def cut_before(self) -> web.StreamResponse:
        """Close the connection, and do nothing."""
        return disconnect(self.request.http)

    async def cut_after(self) -> web.StreamResponse:
        """Do the work, and close the connection."""
        (await self.work(self.request)).close()
        return disconnect(self.request.http)

    async def truncate(self) -> web.StreamResponse:
        """Send half of the body."""
        return await self.reply(self.request, await self.work(self.request), True)

    async def drip(self) -> web.StreamResponse:
        """Send the response byte by byte."""
        answer = await self.work(self.request)
        try:
            return await drip(answer, self.request.http, PARTS.index(self.fault.part), self.seconds)
        finally:
            answer.close()

    async def endless_continue(self) -> web.StreamResponse:
        """Send 100 Continue without end."""
        return await continue_for_ever(self.request.http, self.seconds or _CONTINUE_SECONDS)

    async def clock(self) -> web.StreamResponse:
        """Respond with a wrong clock."""
        self.request.skew_seconds = self.seconds
        return await self.reply(self.request, await self.work(self.request), False)


_ACTIONS: Mapping[str, Callable[[Faulty], Awaitable[web.StreamResponse]]] = {
    "error": Faulty.error,
    "error_after": Faulty.error_after,
    "page": Faulty.page,
    "page_after": Faulty.page_after,
    "slow": Faulty.slow,
    "late": Faulty.late,
    "taken_late": Faulty.taken_late,
    "cut_before": Faulty.cut_before,
    "cut_after": Faulty.cut_after,
    "truncate": Faulty.truncate,
    "drip": Faulty.drip,
    "endless_continue": Faulty.endless_continue,
    "clock": Faulty.clock,
}


def _page(request: Request, fault: Fault) -> Answer:
    """A proxy's page: no request id, no ETag. ``Date`` is the service's time: clients learn no offset."""
    status = fault.status or 200
    page = f"<!DOCTYPE html><html><head><title>{status}</title></head><body>Please wait.</body></html>"
    body = fault.body or page
    headers = {
        "Content-Type": "text/html",
        "Server": "proxy",
        "Date": formatdate(request.server_time, usegmt=True),
    }
    return Answer(status=status, body=body.encode(), headers=headers)
