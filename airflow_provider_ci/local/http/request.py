"""One HTTP request as the service sees it: host, bucket, decoded path, decoded query.

The path is percent-decoded exactly once and never normalised, because ``//``, ``.`` and ``..`` are parts of
keys and of the signature. A ``+`` is a plus in the path and a blank in the query (the official Python SDK
writes blanks in query values as ``+`` while it signs ``%20``).
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from itertools import count
from secrets import token_hex
from urllib.parse import unquote_to_bytes

from aiohttp import web

from airflow_provider_ci.local.errors import Service, ServiceError
from airflow_provider_ci.local.http import bodies
from airflow_provider_ci.local.objects import keys

MAX_BODY_BYTES = 2 * 1024 * 1024
"""Largest XML or JSON body that is read; uploads are streamed and have no such limit."""

_SERVICE_LABELS = {"ci": Service.CI, "cos": Service.COS, "cos-internal": Service.COS}
_OTHER_SERVICES = (
    "pic",
    "picsh",
    "cos-website",
    "cos-control",
    "cos-cdc",
    "file",
    "image",
    "vod",
    "ai",
    "asr",
)
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

_process = token_hex(4)
_numbers = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The parts of a host name: service, bucket (``""`` for none), region."""

    service: Service
    bucket: str
    region: str


@lru_cache(maxsize=1024)
def parse_host(host: str) -> Address:
    """Read ``<bucket>.ci.<region>.…``, ``<bucket>.cos.<region>.…`` or ``ci.<region>.…``; ignore a port."""
    # SDKs configured with an address and a port use that address for operations without a bucket.
    if is_loopback(host):
        return Address(service=Service.CI, bucket="", region="")
    labels = without_port(host).lower().split(".")
    if _is_left_out(labels):
        message = f"the local CI does not know the host {host!r}; it knows <bucket>.cos.… and <bucket>.ci.…"
        raise ServiceError("NotImplemented", message, status=501)
    bucket, rest = ("", labels) if labels[0] in _SERVICE_LABELS else (labels[0], labels[1:])
    service = _SERVICE_LABELS.get(rest[0]) if rest else None
    if service is None:
        raise ServiceError(
            "InvalidHost",
            f"host must be <bucket>.ci.<region>.…, <bucket>.cos.<region>.… or ci.<region>.…, not {host!r}",
            status=400,
        )
    if bucket and not keys.is_bucket_name(bucket):
        raise ServiceError("InvalidBucketName", f"bucket name {bucket!r} is not valid", status=400)
    return Address(service=service, bucket=bucket, region=rest[1] if len(rest) > 1 else "")


def _is_left_out(labels: list[str]) -> bool:
    """Whether the host serves something that is left out here: a list of buckets, another feature."""
    if labels[:2] == ["service", "cos"]:
        return True
    return len(labels) > 2 and keys.is_bucket_name(labels[0]) and labels[1] in _OTHER_SERVICES


def without_port(host: str) -> str:
    """``host`` without a trailing ``:port``; the brackets of an IPv6 address stay."""
    name, colon, port = host.rpartition(":")
    return name if colon and (port.isdigit() or not port) else host


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine and no bucket; only requests to such a host reach ``/_local/``."""
    return without_port(host).lower() in _LOOPBACK


def request_id(now: float) -> str:
    """A new request id in the service's form: Base64 of four hex fields; the first is the Unix time."""
    number = next(_numbers)
    return b64encode(f"{int(now):x}_{_process}_{number:x}_{number % 0x10000:04x}".encode()).decode()


def is_from_here(http: web.BaseRequest) -> bool:
    """Whether a request comes from this machine, judged by its IP address and not by its ``Host``."""
    try:
        return ip_address(http.remote or "").is_loopback
    except ValueError:
        return False


@dataclass(slots=True, kw_only=True)
class Request:
    """A request with its address and its decoded parts. ``query`` keeps order and repetitions."""

    method: str
    host: str
    path: str
    query: list[tuple[str, str]]
    request_id: str
    now: float
    http: web.BaseRequest
    skew_seconds: float = 0
    address: Address = field(init=False)
    kept_body: bytes | None = None

    @property
    def server_time(self) -> float:
        """The server's time in Unix seconds; a fault can make it wrong by ``skew_seconds``."""
        return self.now + self.skew_seconds

    def parameter(self, name: str, default: str = "") -> str:
        """The decoded value of query parameter ``name``; an empty value counts as not given."""
        return next((value for key, value in self.query if key == name), "") or default

    def has_parameter(self, name: str) -> bool:
        """Whether query parameter ``name`` is there, with or without a value."""
        return any(key == name for key, _ in self.query)

    def header(self, name: str, default: str = "") -> str:
        """The value of header ``name`` as text; bytes that are not UTF-8 are read as Latin-1."""
        value = self.http.headers.get(name)
        return default if value is None else _header_text(value)

    async def expect_body(self) -> None:
        """Send 100 Continue to a client that waits for it (``Expect: 100-continue``)."""
        if self.kept_body is None and self.header("Expect").lower() == "100-continue":
            await self.http.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def body(self) -> bytes:
        """Read the whole XML or JSON body (not an upload); at most ``MAX_BODY_BYTES``."""
        await self.expect_body()
        chunks: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise ServiceError("InvalidContent", f"the body exceeds {MAX_BODY_BYTES} bytes", status=413)
            chunks.append(chunk)
        return b"".join(chunks)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        :raises ServiceError: the body arrives too slowly.
        """
        if self.kept_body is not None:
            yield self.kept_body
            return
        async for chunk in bodies.in_time(self.http.content):
            yield chunk

    async def keep_body(self) -> None:
        """Read the body now and keep it, for work that is done after the connection is closed."""
        self.kept_body = await self.body()


def from_http(http: web.BaseRequest, now: float) -> Request:
    """Parse the raw request line, with a path or with an absolute URL as a proxy receives it."""
    target, host = http.raw_path, _header_text(http.headers.get("Host", ""))
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute:
        host, target = absolute.group(1), absolute.group(2)
    path, _, query = target.partition("?")
    return Request(
        method=http.method,
        host=host,
        path=_decoded(path) or "/",
        query=_pairs(query),
        request_id=request_id(now),
        now=now,
        http=http,
    )


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode() if "%" in text else text
    except UnicodeDecodeError as error:
        raise ServiceError("InvalidURI", f"{text!r} is not percent-encoded UTF-8", status=400) from error


def _pairs(query: str) -> list[tuple[str, str]]:
    return [
        (_decoded(name.replace("+", " ")), _decoded(value.replace("+", " ")))
        for name, _, value in (item.partition("=") for item in query.split("&") if item)
    ]


def _header_text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode(errors="surrogateescape").decode("latin-1")
    return value
