"""Fixtures: a server on a raw socket that sends the bytes given by the test, and a clock that never waits.

After each test, the official SDK's signer verifies all requests that the server received.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock
from urllib.parse import quote, unquote, unquote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import HealthCheck, settings
from qcloud_cos import CosConfig, cos_auth

from airflow_provider_ci.client import CIClient, Credentials, RetryPolicy
from airflow_provider_ci.client.http.clock import Clock

SECRET_ID = "AKIDEXAMPLEexample0123456789abcdefgh"
SECRET_KEY = "ExampleSecretKey0123456789abcdef"
BUCKET = "examplebucket-1250000000"
REGION = "ap-guangzhou"
NOW = 1700000060.0
DATE_MARK = b"@now@"
"""Placeholder in a reply; the server replaces it with the service's time when it sends the reply."""
TLS_GREETING = b"\x16"
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

SIGNER = CosConfig(Region=REGION, SecretId=SECRET_ID, SecretKey=SECRET_KEY)
FIELDS = ["algorithm", "ak", "sign-time", "key-time", "header-list", "url-param-list", "signature"]
SDK_LEAD_SECONDS = 60
"""The SDK's signatures are valid from this many seconds before the time of signing."""

JOB_XML = (
    "<JobsDetail><Code>Success</Code><CreationTime>2023-11-15T06:13:20+0800</CreationTime><EndTime>-</EndTime>"
    "<Input><BucketId>examplebucket-1250000000</BucketId><Object>{input}</Object><Region>ap-guangzhou</Region></Input>"
    "<JobId>{job_id}</JobId><Message></Message><Operation><{tag}><TgtType>pdf</TgtType></{tag}>{result}"
    "<JobLevel>0</JobLevel><Output><Bucket>outbucket-1250000000</Bucket><Object>{output}</Object>"
    "<Region>ap-beijing</Region></Output><UserData>u1</UserData></Operation><QueueId>p1</QueueId>"
    "<StartTime>-</StartTime><State>{state}</State><Tag>{tag}</Tag></JobsDetail>"
)


@dataclass
class Recorded:
    """A request as the server received it."""

    method: str
    target: str
    headers: dict[str, str]
    """The headers by their lower-case names."""
    body: bytes

    @property
    def signed(self) -> dict[str, str]:
        """The parts of the Authorization header."""
        return dict(part.split("=", 1) for part in self.headers["authorization"].split("&"))


def sdk_authorization(
    method: str, path: str, params: dict[str, str], headers: dict[str, str], key_time: str
) -> str:
    """The Authorization header that the official SDK sends for a request with this time window."""
    start, end = map(int, key_time.split(";"))
    request = SimpleNamespace(method=method, headers=dict(headers), url="")
    sign = cos_auth.CosS3Auth(SIGNER, path, params, end - start - SDK_LEAD_SECONDS, "host" in headers)
    with mock.patch.object(cos_auth, "time", SimpleNamespace(time=lambda: start + SDK_LEAD_SECONDS)):
        return str(sign(request).headers["Authorization"])


def objection(request: Recorded, now: float | None = None) -> str:
    """Why a service that signs like the official SDK would reject a request; ``""`` if it would not.

    The signature is in a header or in the URL. Without ``now``, the time window is not checked.
    """
    path, _, query = re.sub("^http://[^/]*", "", request.target).partition("?")
    pairs = [part.partition("=")[::2] for part in query.split("&") if part]
    params = {unquote_plus(name): unquote_plus(value) for name, value in pairs}
    text = request.headers.get("authorization")
    said = dict(part.split("=", 1) for part in text.split("&")) if text else params
    if any(f"q-{field}" not in said for field in FIELDS[1:]):
        return "no signature"
    key_time = said["q-key-time"]
    start, end = map(int, key_time.split(";"))
    if said["q-sign-time"] != key_time or (now is not None and not start <= now <= end):
        return "not in its time window"
    listed = said["q-url-param-list"].split(";")
    signed = {name: value for name, value in params.items() if quote(name, "-_.~").lower() in listed}
    headers = {name: request.headers.get(name, "") for name in said["q-header-list"].split(";") if name}
    expected = sdk_authorization(request.method, unquote(path), signed, headers, key_time)
    if expected != "&".join(f"{name}={said[name]}" for name in re.findall(r"q-[a-z-]+(?==)", expected)):
        return "signature differs"
    digest = base64.b64encode(hashlib.md5(request.body).digest()).decode()
    return "body differs" if request.headers.get("content-md5", digest) != digest else ""


@dataclass
class Reply:
    """How the server reacts to a request: the bytes that it sends, and what it does with the connection."""

    data: bytes = b""
    close: bool = False
    reset: bool = False
    hold: bool = False
    """Whether to send nothing and to keep the connection open until the test ends."""


@dataclass
class Wire:
    """The server. Each request takes the next of ``replies``; the last reply is sent again and again."""

    clock: Clock
    port: int = 0
    ahead_seconds: float = 0.0
    """By how many seconds the service's clock is ahead of the client's."""
    requests: list[Recorded] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    connections: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def last(self) -> Recorded:
        return self.requests[-1]

    def will(self, *replies: Reply) -> None:
        self.replies[:] = replies

    def next_reply(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def dated(self, data: bytes) -> bytes:
        date = formatdate(self.clock.now() + self.ahead_seconds, usegmt=True)
        return data.replace(DATE_MARK, date.encode(), 1)


class FakeClock(Clock):
    """A clock that advances only when :meth:`sleep` is called."""

    def __init__(self) -> None:
        self.time = NOW
        self.naps: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.time += seconds


def http_reply(
    body: bytes | str = b"", status: int = 200, *, cut: int = 0, reset: bool = False, **headers: str
) -> Reply:
    """A response with its Content-Length; ``cut`` bytes are missing at its end, then the connection ends."""
    data = body.encode() if isinstance(body, str) else body
    lines = {
        "Content-Length": str(len(data)),
        "x-ci-request-id": "NWRl",
        "Date": DATE_MARK.decode(),
    }
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return Reply(head.encode() + b"\r\n" + data[: len(data) - cut], close=cut > 0, reset=reset)


def read_request(stream: Any) -> Recorded | None:
    if stream.peek(1)[:1] in (b"", TLS_GREETING):
        return None
    method, target, _ = stream.readline().decode().split(" ", 2)
    headers: dict[str, str] = {}
    while (header := stream.readline()) not in (b"\r\n", b""):
        name, _, value = header.decode().partition(":")
        headers[name.lower()] = value.strip()
    return Recorded(method, target, headers, stream.read(int(headers.get("content-length", "0"))))


def converse(wire: Wire, connection: socket.socket, over: threading.Event) -> None:
    with connection, suppress(OSError), connection.makefile("rb") as stream:
        while request := read_request(stream):
            wire.requests.append(request)
            reply = wire.next_reply()
            if reply.hold:
                over.wait()
            if reply.reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            else:
                connection.sendall(wire.dated(reply.data))
            if reply.close or reply.reset or reply.hold:
                return


@pytest.fixture
def wire(clock: FakeClock) -> Iterator[Wire]:
    """The server on a free loopback port."""
    wire, over = Wire(clock), threading.Event()
    threads = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire.port = listener.getsockname()[1]

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                wire.connections += 1
                thread = threading.Thread(target=converse, args=(wire, connection, over), daemon=True)
                threads.append(thread)
                thread.start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        yield wire
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
    acceptor.join()
    assert [objection(request) for request in wire.requests] == [""] * len(wire.requests)


@pytest.fixture(scope="session")
def judge() -> Callable[..., str]:
    """Says why the official SDK's signer would reject a request, as :func:`objection` does."""

    def make(
        method: str, target: str, headers: dict[str, str], *, body: bytes = b"", now: float | None = None
    ) -> str:
        lower = {name.lower(): value for name, value in headers.items()}
        return objection(Recorded(method, target, lower, body), now)

    return make


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def reply() -> Callable[..., Reply]:
    """Makes an HTTP response for the server."""
    return http_reply


@pytest.fixture
def hang_up() -> Reply:
    """Closes the connection without a response."""
    return Reply(close=True)


@pytest.fixture
def silence() -> Reply:
    """Accepts the request and never responds."""
    return Reply(hold=True)


@pytest.fixture
def raw_reply() -> Callable[..., Reply]:
    """Sends exactly the given bytes."""
    return Reply


@pytest.fixture
def connect(wire: Wire, clock: FakeClock) -> Iterator[Callable[..., CIClient]]:
    """Makes a client for the server, with the fake clock."""
    clients: list[CIClient] = []

    def make(**arguments: Any) -> CIClient:
        credentials = Credentials(
            secret_id=SECRET_ID, secret_key=SECRET_KEY, token=arguments.pop("token", None)
        )
        defaults = {"endpoint": wire.endpoint, "_clock": clock, "retry": RetryPolicy(max_attempts=4)}
        settings: dict[str, Any] = defaults | arguments
        clients.append(CIClient(credentials, REGION, BUCKET, **settings))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def ci(connect: Callable[..., CIClient]) -> CIClient:
    """A client for the server with ordinary settings."""
    return connect()


@pytest.fixture
def job_xml() -> Callable[..., str]:
    """Makes a JobsDetail node."""

    def make(
        job_id: str = "d1",
        tag: str = "DocProcess",
        state: str = "Submitted",
        result: str = "",
        input_key: str = "in/a.docx",
        output_key: str = "out/a.pdf",
    ) -> str:
        keys = {"input": escape(input_key), "output": escape(output_key)}
        return JOB_XML.format(job_id=job_id, tag=tag, state=state, result=result, **keys)

    return make


@pytest.fixture
def job_reply(job_xml: Callable[..., str]) -> Callable[..., Reply]:
    """Makes a response with one job."""

    def make(**arguments: str) -> Reply:
        return http_reply(f"<Response>{job_xml(**arguments)}</Response>")

    return make


@pytest.fixture
def error_reply() -> Callable[..., Reply]:
    """Makes a service error in the service's own form."""

    def make(status: int, code: str, message: str = "m", **headers: Any) -> Reply:
        body = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>NWRl</RequestId></Error>"
        return http_reply(body, status, **headers)

    return make


@pytest.fixture
def listing_reply() -> Callable[..., Reply]:
    """Makes a page of a listing of objects."""

    def make(
        *keys: str,
        truncated: str = "false",
        marker: str = "",
        encoding: str = "url",
        cut: int = 0,
        **headers: Any,
    ) -> Reply:
        contents = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2023-11-14T22:13:20.000Z</LastModified>"
            "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>3</Size>"
            "<Owner><ID>1</ID><DisplayName>1</DisplayName></Owner><StorageClass>STANDARD_IA</StorageClass></Contents>"
            for key in keys
        )
        body = (
            f"<ListBucketResult><Name>{BUCKET}</Name><EncodingType>{encoding}</EncodingType><Prefix/><Marker/>"
            f"<MaxKeys>1000</MaxKeys><IsTruncated>{truncated}</IsTruncated><NextMarker>{marker}</NextMarker>"
            f"{contents}</ListBucketResult>"
        )
        return http_reply(body, cut=cut, **headers)

    return make


@pytest.fixture(scope="session")
def vectors() -> dict[str, Any]:
    """Examples of the signature, published by the vendor or recomputed."""
    path = Path(__file__).parent / "data" / "signature-vectors.json"
    loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return loaded
