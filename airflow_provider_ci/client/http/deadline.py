"""Deadlines, which end a call in time even if the server sends its response very slowly.

A socket's timeout restarts with each byte, so a server that sends one byte per second keeps a reader waiting
for ever. Here every read from the socket checks a deadline for the whole response, from the status line to
the last byte.
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
"""Each byte of an object extends the deadline as if it arrived at this rate."""
MAX_HEAD_BYTES = 1024 * 1024
"""Limit for the status line and the headers, including any ``100 Continue`` responses before them."""


class Deadline:
    """The time by which a response has to be complete. Each transferred byte of an object extends it."""

    __slots__ = ("_at", "_piece_seconds")

    def __init__(self, seconds: float, piece_seconds: float) -> None:
        """Start a deadline ``seconds`` from now; ``piece_seconds`` limits the wait for each piece."""
        # Not the clock of :mod:`.clock`, which counts in suspend: socket timeouts stop during a suspend too.
        self._at = time.monotonic() + seconds
        self._piece_seconds = piece_seconds

    def extend(self, size: int) -> None:
        """Add the time that ``size`` bytes of an object may take."""
        self._at += size / SLOWEST_BYTES_PER_SECOND

    def next_wait(self) -> float:
        """Seconds to wait for the next piece.

        :raises TimeoutError: the deadline has passed.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the response took too long as a whole")
        return min(left, self._piece_seconds)


class _Current(threading.local):
    """The deadline of the next request of this thread.

    requests and urllib3 create connections and responses themselves and cannot pass a deadline on, so a
    thread-local variable carries it.
    """

    deadline: Deadline | None = None


_current = _Current()


def begin(deadline: Deadline) -> None:
    """Apply a deadline to the next response that this thread waits for."""
    _current.deadline = deadline


class TimedResponse(http.client.HTTPResponse):
    """A response with a deadline, and with a limit for the total size of its headers."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        deadline = _current.deadline or Deadline(float("inf"), float("inf"))
        self._reader = _TimedReader(sock, deadline)
        super().__init__(_Opened(self._reader), *arguments, **options)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Read the status line and the headers."""
        super().begin()
        # http.client limits the length and the number of header lines, but not repeated ``100 Continue``
        # responses, so the reader has its own limit. It ends here, because the body may be of any size.
        self._reader.bytes_of_head_left = None


class _Opened:
    """Offers ``makefile``, the only method of a socket that http.client uses."""

    def __init__(self, reader: _TimedReader) -> None:
        self._reader = reader

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._reader)


class _TimedReader(io.RawIOBase):
    """Reads the bytes of a socket until the deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._socket = sock
        self._deadline = deadline
        # Unbuffered, so that each read of the BufferedReader is one ``recv`` with a fresh timeout.
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
    """Derive a connection class whose responses have a deadline. Cached, so that each class exists once."""
    return type(f"Timed{connection.__name__}", (connection,), {"response_class": TimedResponse})
