"""Reads the body of a request, and rejects a body that arrives too slowly and would block a connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import StreamReader

from airflow_provider_ci.local.errors import ServiceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The longest pause in a body, and its lowest average rate, counted from the end of a grace time."""

    pause_seconds: float = 30
    bytes_per_second: float = 1024
    grace_seconds: float = 60


PACE = Pace()


async def in_time(content: StreamReader) -> AsyncIterator[bytes]:
    """Yield the body as it arrives.

    :raises ServiceError: the body pauses too long, or is too slow on average.
    """
    start, size = time.monotonic(), 0
    while not content.at_eof():
        chunk = content.read_nowait() or await _next(content)
        size += len(chunk)
        late = time.monotonic() - start - PACE.grace_seconds
        if late > 0 and size < late * PACE.bytes_per_second:
            raise _too_slow(f"less than {PACE.bytes_per_second:g} bytes a second arrived")
        if chunk:
            yield chunk


async def _next(content: StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(content.readany(), PACE.pause_seconds)
    except asyncio.TimeoutError as error:
        raise _too_slow(f"nothing arrived for {PACE.pause_seconds:g} s") from error


def _too_slow(reason: str) -> ServiceError:
    return ServiceError("RequestTimeout", f"the body of the request came too slowly: {reason}", status=400)
