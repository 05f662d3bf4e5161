"""Complete requests and responses, for an observer of a client."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import urllib3


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and its response, as they were on the wire.

    The headers and the URL contain secrets: the signature, the SecretId, a token. The repr omits them.
    ``sent`` and ``received`` are steady seconds, on the scale of :attr:`CIClient.clock`. If the request
    uploads a file, ``request_body`` is empty.
    """

    method: str
    url: str = field(repr=False)
    request_headers: Mapping[str, str] = field(repr=False)
    request_body: bytes = field(repr=False)
    status: int
    response_headers: Mapping[str, str] = field(repr=False)
    response_body: bytes = field(repr=False)
    sent: float
    received: float


Observer = Callable[[Exchange], None]


def read_whole(raw: urllib3.BaseHTTPResponse, method: str) -> tuple[bytes, urllib3.BaseHTTPResponse]:
    """Read the bytes of a response, and return them together with a copy of the response to read again."""
    body = raw.read(decode_content=False)
    raw.release_conn()
    again = urllib3.HTTPResponse(
        body=io.BytesIO(body),
        headers=raw.headers,
        status=raw.status,
        request_method=method,
        preload_content=False,
    )
    return body, again
