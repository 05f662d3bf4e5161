"""A relay between batches and the server: it passes each request to a handler, which may drop the request."""

from __future__ import annotations

import asyncio
import threading
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, TypeVar

Sender = TypeVar("Sender")
T = TypeVar("T")

HEAD_END = b"\r\n\r\n"
_BROKEN = (ConnectionError, IncompleteReadError, OSError)


@dataclass(slots=True, kw_only=True)
class Request(Generic[Sender]):
    """A request that has arrived completely and has not been passed on yet."""

    sender: Sender
    method: str
    target: str
    """Path and query."""
    content: bytes = field(repr=False)
    """The request as it was sent."""
    port: int
    """The server's port."""

    async def forward(self) -> bytes | None:
        """Pass the request on; return the response, perhaps incomplete, or ``None`` if nothing arrived."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except _BROKEN:
            return None
        try:
            writer.write(self.content)
            return await _answer(reader, self.method) or None
        finally:
            writer.close()


Handler = Callable[[Request[Sender]], Awaitable[bytes | None]]


class Relay(Generic[Sender]):
    """Passes requests through ``handle`` on a thread of its own; a context manager.

    Each sender has its own port, which identifies the sender. The relay sends back the response that
    ``handle`` returns, and closes the connection if the response is missing or incomplete.
    """

    def __init__(self, server_port: int, handle: Handler[Sender]) -> None:
        self._server_port = server_port
        self._handle = handle
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._busy = 0
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None] | None] = set()
        """Keeps tasks alive: the loop may drop a task whose sender is gone while its request is in flight."""

    def __enter__(self) -> Relay[Sender]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def listen(self, sender: Sender) -> int:
        """Open a port for the requests of ``sender``; return its number."""
        return self._call(self._listen(sender))

    def drain(self) -> None:
        """Return once no request is in flight any more; call it after the senders have ended."""
        self._call(self._drain())

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _listen(self, sender: Sender) -> int:
        async def serve(reader: StreamReader, writer: StreamWriter) -> None:
            self._connections.add(asyncio.current_task())
            try:
                with suppress(*_BROKEN, asyncio.CancelledError):  # cancelled when the relay ends
                    while await self._exchange(sender, reader, writer):
                        pass
            finally:
                self._connections.discard(asyncio.current_task())
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _drain(self) -> None:
        while self._busy:
            await asyncio.sleep(0.005)

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        while connections := asyncio.all_tasks() - {asyncio.current_task()}:
            for connection in connections:
                connection.cancel()
            await asyncio.gather(*connections, return_exceptions=True)
            await asyncio.sleep(0)  # a connection that was just accepted is a task now

    async def _exchange(self, sender: Sender, reader: StreamReader, writer: StreamWriter) -> bool:
        """Handle one request and send its response; return whether the connection stays open."""
        head = await reader.readuntil(HEAD_END)
        body = await reader.readexactly(int(_header(head, "content-length") or 0))
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        self._busy += 1
        try:
            answer = await self._handle(
                Request(
                    sender=sender,
                    method=method,
                    target=target,
                    content=head + body,
                    port=self._server_port,
                )
            )
        finally:
            self._busy -= 1
        if answer is None:
            return False
        writer.write(answer)
        await writer.drain()
        return _is_whole(answer, method)


async def _answer(reader: StreamReader, method: str) -> bytes:
    """Read a response, or the part of it that arrives; the local CI sends the length of every body."""
    head = b""
    try:
        head = await reader.readuntil(HEAD_END)
        return head + await reader.readexactly(_body_length(head, method))
    except IncompleteReadError as error:
        return head + error.partial
    except _BROKEN:
        return head


def _is_whole(answer: bytes, method: str) -> bool:
    head, end, body = answer.partition(HEAD_END)
    return bool(end) and len(body) == _body_length(head, method)


def _body_length(head: bytes, method: str) -> int:
    has_body = method != "HEAD" and head.split(b" ", 2)[1] not in (b"204", b"304")
    return int(_header(head, "content-length") or 0) if has_body else 0


def _header(head: bytes, name: str) -> str:
    for line in head.decode("latin-1").split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name:
            return value.strip()
    return ""
