"""The result of a handler, and how it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import BinaryIO

from aiohttp import web

from airflow_provider_ci.local.errors import Service
from airflow_provider_ci.local.http import wire
from airflow_provider_ci.local.http.wire import Value

CHUNK_BYTES = 256 * 1024

_LONGEST_PAUSE_SECONDS = 0.1

_SERVER_NAMES = {Service.COS: "tencent-cos", Service.CI: "tencent-ci"}


@dataclass(slots=True, kw_only=True)
class FileBody:
    """A part of an open file. Its content stays the same if the object is replaced in the meantime."""

    file: BinaryIO
    offset: int
    length: int


@dataclass(slots=True, kw_only=True)
class Answer:
    """Status, headers, and a body in memory or in a file; XML unless the headers name another type."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    file: FileBody | None = None

    @classmethod
    def response(cls, nodes: Mapping[str, Value]) -> Answer:
        """A response with these nodes in ``Response``, the root element of every response of a CI host."""
        return cls(body=wire.document("Response", nodes))

    @property
    def length(self) -> int:
        """Length of the body in bytes."""
        return self.file.length if self.file else len(self.body)

    def close(self) -> None:
        """Close the file of the body, if there is one."""
        if self.file:
            self.file.file.close()


def stamp(answer: Answer, service: Service, request_id: str, now: float) -> Answer:
    """Add the headers of every response: server name, request id, date, content type."""
    answer.headers["Server"] = _SERVER_NAMES[service]
    answer.headers[f"x-{service}-request-id"] = request_id
    answer.headers["Date"] = formatdate(now, usegmt=True)
    if answer.body:
        answer.headers.setdefault("Content-Type", "application/xml")
    return answer


async def send(answer: Answer, http: web.BaseRequest, *, cut: bool = False) -> web.StreamResponse:
    """Send the response (no body for HEAD). With ``cut``, send half of the body and disconnect."""
    if answer.file is None and not cut and http.method != "HEAD":
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
    # A stream, because ``web.Response`` cannot announce a length and then send less.
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = int(answer.headers.get("Content-Length", answer.length))
    await response.prepare(http)
    if http.method != "HEAD":
        await _write(response, http, answer, answer.length // 2 if cut else answer.length)
    if cut:
        disconnect(http)
    else:
        await response.write_eof()
    return response


async def drip(answer: Answer, http: web.BaseRequest, first_part: int, seconds: float) -> web.StreamResponse:
    """Send one byte every ``seconds`` from part ``first_part`` on (0 status line, 1 headers, 2 body)."""
    parts = _parts(answer, has_body=http.method != "HEAD")
    transport = http.transport
    if transport is None:
        return web.Response()
    # Bytes go to the transport directly: aiohttp would send the status line and the headers at once.
    transport.write(b"".join(parts[:first_part]))
    for byte in b"".join(parts[first_part:]):
        if transport.is_closing():
            break
        transport.write(bytes([byte]))
        await _pause(transport, seconds)
    return disconnect(http)


def _parts(answer: Answer, *, has_body: bool) -> tuple[bytes, bytes, bytes]:
    """Status line, headers and body as they go over the wire; the connection is closed afterwards."""
    phrases = {status.value: status.phrase for status in HTTPStatus}
    headers = {"Content-Length": str(answer.length), **answer.headers, "Connection": "close"}
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    body = answer.file.file.read(answer.length) if answer.file else answer.body
    return (
        f"HTTP/1.1 {answer.status} {phrases.get(answer.status, '')}\r\n".encode(),
        "".join([*lines, "\r\n"]).encode(),
        body if has_body else b"",
    )


async def continue_for_ever(http: web.BaseRequest, seconds: float) -> web.StreamResponse:
    """Send ``100 Continue`` every ``seconds`` until the client closes the connection."""
    while http.transport is not None and not http.transport.is_closing():
        http.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await _pause(http.transport, seconds)
    return web.Response()


async def _pause(transport: asyncio.Transport, seconds: float) -> None:
    """Wait, but stop soon after the client has disconnected."""
    while seconds > 0 and not transport.is_closing():
        await asyncio.sleep(min(seconds, _LONGEST_PAUSE_SECONDS))
        seconds -= _LONGEST_PAUSE_SECONDS


def disconnect(http: web.BaseRequest) -> web.StreamResponse:
    """Close the connection after the bytes that are already written."""
    if http.transport is not None:
        http.transport.close()
    return web.Response()


async def _write(response: web.StreamResponse, http: web.BaseRequest, answer: Answer, length: int) -> None:
    if answer.file is None:
        await response.write(answer.body[:length])
        return
    part = answer.file
    part.file.seek(part.offset)
    while length > 0:
        chunk = await _read(part.file, min(length, CHUNK_BYTES))
        if not chunk:
            disconnect(http)  # the file was shortened in place
            return
        length -= len(chunk)
        await response.write(chunk)


async def _read(file: BinaryIO, size: int) -> bytes:
    return file.read(size) if size < CHUNK_BYTES else await asyncio.to_thread(file.read, size)
