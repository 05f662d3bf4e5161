"""Fixtures: a local CI, a caller that sends signed HTTP requests to it, and converters that wait."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from lxml import etree
from qcloud_cos import CosConfig, CosS3Client

from airflow_provider_ci.client import signing
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert import Converters, DocumentResult, InstantConverters, PictureResult

BUCKET = "examplebucket-1250000000"
REGION = "ap-guangzhou"


@dataclass(frozen=True)
class Reply:
    """A response as it was received."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def xml(self) -> etree._Element:
        return etree.fromstring(self.body)

    @property
    def code(self) -> str:
        return self.xml.findtext("Code") or ""

    def texts(self, path: str) -> list[str]:
        return [node.text or "" for node in self.xml.findall(path)]

    def text(self, path: str) -> str:
        return self.texts(path)[0]


@dataclass
class Caller:
    """Calls a server; each request is signed and has its own connection."""

    server: LocalCI
    bucket: str = BUCKET
    signed_headers: Mapping[str, str] = field(default_factory=dict)

    def host(self, service: str) -> str:
        return f"{self.bucket}.{service}.{REGION}.myqcloud.com"

    def sign(
        self,
        method: str,
        path: str,
        params: list[tuple[str, str]],
        headers: Mapping[str, str],
        now: float | None = None,
    ) -> str:
        start = int(time.time() if now is None else now)
        return signing.authorization(
            signing.Credentials(secret_id=self.server.secret_id, secret_key=self.server.secret_key),
            method,
            path,
            params,
            headers.items(),
            key_time=signing.key_time(start - 60, start + 600),
        )

    def __call__(
        self,
        method: str,
        service: str,
        path: str,
        params: list[tuple[str, str]] | None = None,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        host: str | None = None,
        now: float | None = None,
    ) -> Reply:
        """Send a signed request; ``path`` and ``params`` are given unquoted."""
        given = {"Host": host or self.host(service), **self.signed_headers, **(headers or {})}
        authorization = self.sign(method, path, params or [], given, now)
        query = "&".join(f"{quote(name, '')}={quote(value, '')}" for name, value in params or [])
        target = quote(path) + (f"?{query}" if query else "")
        return self.raw(method, target, {**given, "Authorization": authorization}, body)

    def raw(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | str | None = None
    ) -> Reply:
        """Send a request exactly as given; the caller provides the Host header and the signature."""
        connection = http.client.HTTPConnection(urlsplit(self.server.endpoint).netloc, timeout=30)
        payload = body.encode() if isinstance(body, str) else body
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value.encode())
            if payload is not None and "content-length" not in {name.lower() for name in headers}:
                connection.putheader("Content-Length", str(len(payload)))
            connection.endheaders(payload)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        finally:
            connection.close()

    def put(self, key: str, body: bytes = b"content", **headers: str) -> Reply:
        return self("PUT", "cos", f"/{key}", body=body, headers=headers)

    def get(self, key: str, **headers: str) -> Reply:
        return self("GET", "cos", f"/{key}", headers=headers)

    def doc_job(
        self,
        key: str,
        output: str = "out/${Number}.pdf",
        parameters: str = "<TgtType>pdf</TgtType>",
        more: str = "",
    ) -> str:
        """The body of a request for a document job."""
        return (
            f"<Request><Tag>DocProcess</Tag><Input><Object>{key}</Object></Input><Operation>"
            f"<DocProcess>{parameters}</DocProcess>"
            f"<Output><Region>{REGION}</Region><Bucket>{self.bucket}</Bucket><Object>{output}</Object></Output>"
            f"{more}</Operation></Request>"
        )

    def pic_job(self, key: str, output: str, rule: str = "imageMogr2/format/png", more: str = "") -> str:
        """The body of a request for a picture job."""
        return (
            f"<Request><Tag>PicProcess</Tag><Input><Object>{key}</Object></Input><Operation>"
            f"<PicProcess><IsPicInfo>true</IsPicInfo><ProcessRule>{rule}</ProcessRule></PicProcess>"
            f"<Output><Region>{REGION}</Region><Bucket>{self.bucket}</Bucket><Object>{output}</Object></Output>"
            f"{more}</Operation></Request>"
        )

    def submit(self, body: str, path: str = "/doc_jobs") -> str:
        """Submit a job that must be accepted; return its id."""
        reply = self("POST", "ci", path, body=body)
        assert reply.status == 200, reply.body
        return reply.text("JobsDetail/JobId")

    def job(self, job_id: str, path: str = "/doc_jobs") -> Reply:
        return self("GET", "ci", f"{path}/{job_id}")

    def state(self, job_id: str, path: str = "/doc_jobs") -> str:
        return self.job(job_id, path).text("JobsDetail/State")

    def finished(self, job_id: str, path: str = "/doc_jobs") -> Reply:
        """Wait until the job is final; return the response that shows it."""
        wait_until(lambda: self.state(job_id, path) in ("Success", "Failed", "Cancel"))
        return self.job(job_id, path)


def wait_until(holds: Callable[[], bool]) -> None:
    """Return as soon as ``holds()`` is true; fail after 60 s, far more than any test needs."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.01)


class GatedConverters(Converters):
    """Converters that wait until ``open`` is set, and that record the requested conversions in order."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.open = threading.Event()
        self._instant = InstantConverters()

    def document(self, source: Path, name: str, *rest: Any) -> DocumentResult:
        self.began.append(name)
        self.open.wait(60)
        return self._instant.document(source, name, *rest)

    def picture(self, source: Path, rule: str, *rest: Any) -> PictureResult:
        self.began.append(rule)
        self.open.wait(60)
        return self._instant.picture(source, rule, *rest)

    def close(self) -> None:
        self.open.set()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root folder with one bucket."""
    folder = tmp_path / "root"
    (folder / BUCKET).mkdir(parents=True)
    return folder


@pytest.fixture
def serve(root: Path) -> Iterator[Callable[..., LocalCI]]:
    """Starts local CIs on the root folder with the given options."""
    servers: list[LocalCI] = []

    def start(**options: object) -> LocalCI:
        server = LocalCI(root, **{"convert": "instant", **options})  # type: ignore[arg-type]
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def server(serve: Callable[..., LocalCI]) -> LocalCI:
    """A local CI that converts instantly."""
    return serve()


@pytest.fixture
def call(server: LocalCI) -> Caller:
    """A caller of the server's bucket."""
    return Caller(server)


@pytest.fixture
def caller() -> type[Caller]:
    """The class itself, for tests that call other servers and buckets."""
    return Caller


@pytest.fixture
def gate() -> Iterator[GatedConverters]:
    """Converters that wait until ``gate.open`` is set."""
    converters = GatedConverters()
    yield converters
    converters.open.set()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits until a condition is true."""
    return wait_until


@pytest.fixture
def folder(root: Path) -> Path:
    """The folder of the bucket."""
    return root / BUCKET


@pytest.fixture(scope="module")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCI]:
    """A local CI that really converts. All tests of a module share it and its objects."""
    root = tmp_path_factory.mktemp("real")
    (root / BUCKET).mkdir()
    with LocalCI(root, convert="real") as server:
        yield server


@pytest.fixture
def real_call(real_server: LocalCI) -> Caller:
    """A caller of the server that really converts."""
    return Caller(real_server)


def by_proxy(server: LocalCI) -> dict[str, Any]:
    return {"Proxies": {"http": server.endpoint}}


def by_endpoint(server: LocalCI) -> dict[str, Any]:
    port = server.endpoint.rpartition(":")[2]
    return {
        name: f"{kind}.{REGION}.localhost:{port}"
        for name, kind in (("Endpoint", "cos"), ("EndpointCi", "ci"))
    }


WAYS = {"proxy": by_proxy, "endpoint": by_endpoint}


@pytest.fixture
def names_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolves names under ``localhost`` to this machine (RFC 6761), because not every resolver does so."""
    resolve = socket.getaddrinfo

    def look_up(host: Any, *rest: Any, **more: Any) -> Any:
        return resolve("127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.fixture(params=WAYS)
def connect(request: pytest.FixtureRequest, names_of_this_machine: None) -> Callable[..., Any]:
    """Makes SDK clients of a server; a test runs once for each way to reach the local CI."""

    def make(server: LocalCI, **config: Any) -> Any:
        keys = {"SecretId": server.secret_id, "SecretKey": server.secret_key}
        values = {"Region": REGION, "Scheme": "http", **keys, **WAYS[request.param](server), **config}
        return CosS3Client(CosConfig(**values), retry=0)

    return make


@pytest.fixture
def sdk(server: LocalCI, connect: Callable[..., Any]) -> Any:
    """A client of the official SDK; a test runs once with a proxy and once with endpoints."""
    return connect(server)
