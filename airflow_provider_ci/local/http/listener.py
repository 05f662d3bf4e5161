"""One port for TLS, for plain HTTP, and for clients that use it as their HTTPS proxy (CONNECT).

The first bytes show the type of a connection. They are peeked at and not consumed, because asyncio cannot
pass consumed bytes on to a TLS handshake.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

_TLS_HANDSHAKE = b"\x16"
_CONNECT = b"CONNECT "
_MAX_HEAD_BYTES = 16 * 1024
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_PAUSE_SECONDS = 0.01

_log = logging.getLogger(__name__)


class Listener:
    """Accepts connections and gives each of them a protocol, over TLS if the client speaks TLS."""

    def __init__(self, protocol: Callable[[], asyncio.BaseProtocol], context: ssl.SSLContext) -> None:
        self._protocol = protocol
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, host: str, port: int, backlog: int) -> int:
        """Listen on ``host`` and return the port; ``port`` 0 chooses a free one.

        :raises OSError: the port is taken, or the address is not this machine's.
        """
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._socket = socket.socket(family, kind)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
            self._socket.listen(backlog)
        except OSError:
            self._socket.close()
            raise
        self._begin(self._accept())
        return int(self._socket.getsockname()[1])

    async def stop(self) -> None:
        """Accept no more connections. Connections that already have a protocol stay open."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._socket.close()

    def _begin(self, work: asyncio._CoroutineLike[None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(self._socket)
            except OSError as error:  # too many open files; waiting connections stay in the backlog
                _log.warning("a connection could not be accepted: %s", error.strerror)
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            self._begin(self._hand_on(connection))

    async def _hand_on(self, connection: socket.socket) -> None:
        try:
            first = await _peek(connection, len(_CONNECT))
            if first == _CONNECT:
                await _open_tunnel(connection)
                first = await _peek(connection, 1)
            context = self._context if first[:1] == _TLS_HANDSHAKE else None
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection, ssl=context)
        except (OSError, ValueError):  # the client disconnected, or does not trust the certificate
            connection.close()
        except BaseException:
            connection.close()
            raise


async def _peek(connection: socket.socket, size: int) -> bytes:
    """Peek at the first ``size`` bytes; return fewer as soon as they cannot be the start of CONNECT."""
    while True:
        try:
            found = connection.recv(size, socket.MSG_PEEK)
        except BlockingIOError:
            await _readable(connection)
            continue
        if len(found) == size or not _CONNECT.startswith(found) or not found:
            return found
        await asyncio.sleep(_PAUSE_SECONDS)


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(connection, _resolve, ready)
    try:
        await ready
    finally:
        loop.remove_reader(connection)


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _open_tunnel(connection: socket.socket) -> None:
    """Respond to CONNECT. The tunnel ends here, whatever host the client named."""
    loop = asyncio.get_running_loop()
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = await loop.sock_recv(connection, 1)  # byte by byte: the bytes after the head belong to TLS
        if not piece or len(head) >= _MAX_HEAD_BYTES:
            raise ValueError("the head of CONNECT does not end")
        head += piece
    await loop.sock_sendall(connection, _ESTABLISHED)
