"""Deadlines: a call ends in time, however slowly or oddly the other side writes.

A socket's timeout counts from byte to byte, so that one byte a second keeps a reader waiting for ever. Here
every read from the socket looks at a deadline for the whole response, from the status line to the last byte.
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from functools import lru_cache
from typing import Any

SLOWEST_BYTES_PER_SECOND = 32 * 1024
"""The bytes of an object may take as long as this rate needs, on top of the deadline."""
MAX_HEAD_BYTES = 1024 * 1024
"""No status line and headers are longer, nor is any number of ``100 Continue`` before them."""


class Deadline:
    """When a response has to be complete. It is later for each byte of an object that has come or gone."""

    __slots__ = ("_at", "_piece_seconds")

    def __init__(self, seconds: float, piece_seconds: float) -> None:
        """Begin now; ``piece_seconds`` is how long to wait for each piece."""
        self._at = time.monotonic() + seconds
        self._piece_seconds = piece_seconds

    def extend(self, size: int) -> None:
        """Add the time that ``size`` bytes of an object may take."""
        self._at += size / SLOWEST_BYTES_PER_SECOND

    def next_wait(self) -> float:
        """Seconds to wait for the next piece.

        :raises TimeoutError: the time is over.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the response took too long as a whole")
        return min(left, self._piece_seconds)


class _Current(threading.local):
    """The deadline of what this thread sends next.

    requests and urllib3 choose the connection by themselves, and have no argument for it.
    """

    deadline: Deadline | None = None


_current = _Current()


def begin(deadline: Deadline) -> None:
    """Apply a deadline to the next response that this thread waits for."""
    _current.deadline = deadline


class TimedResponse(http.client.HTTPResponse):
    """A response that is read by its deadline, with headers that are bounded as a whole."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        deadline = _current.deadline or Deadline(float("inf"), float("inf"))
        self._reader = _TimedReader(sock, deadline)
        super().__init__(_Opened(self._reader), *arguments, **options)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Read the status line and the headers."""
        super().begin()
        self._reader.bytes_of_head_left = None


class _Opened:
    """The part of a socket that http.client uses: a file to read from."""

    def __init__(self, reader: _TimedReader) -> None:
        self._reader = reader

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._reader)


class _TimedReader(io.RawIOBase):
    """The bytes of a socket, waited for until the deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._socket = sock
        self._deadline = deadline
        self._raw = sock.makefile("rb", buffering=0)
        self.bytes_of_head_left: int | None = MAX_HEAD_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self._socket.settimeout(self._deadline.next_wait())
        size = self._raw.readinto(buffer)
        if size and self.bytes_of_head_left is not None:
            self.bytes_of_head_left -= size
            if self.bytes_of_head_left < 0:
                raise http.client.HTTPException(f"got more than {MAX_HEAD_BYTES} bytes of headers")
        return size

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        self._raw.close()
        super().close()


@lru_cache(maxsize=16)
def timed(connection: type[Any]) -> type[Any]:
    """A class of connections whose responses have a deadline."""
    return type(f"Timed{connection.__name__}", (connection,), {"response_class": TimedResponse})
