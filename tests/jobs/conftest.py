"""A network that delivers submissions late, and a service with unusual listings of jobs."""

from __future__ import annotations

import http.client
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest

from airflow_provider_ci.client import CIClient, Credentials, RetryPolicy
from airflow_provider_ci.local import LocalCI

REGION = "ap-guangzhou"
BUCKET = "examplebucket-1250000000"


class Network:
    """Passes requests on to the service; can deliver a submission late, after its client has given up."""

    def __init__(self, server: LocalCI) -> None:
        self._to = urlsplit(server.endpoint).netloc
        self._late: list[float] = []
        self._on_their_way: list[threading.Thread] = []
        self.statuses: list[int] = []
        """Status of the service's response to each late request."""

    def delay_next(self, seconds: float) -> None:
        """Close the next submission's connection at once, and deliver the submission ``seconds`` later."""
        self._late.append(seconds)

    def wait(self) -> None:
        """Wait until all late requests have been delivered."""
        for thread in self._on_their_way:
            thread.join()

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Pass requests on from a new endpoint until the end of the block."""
        network = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # buffered: one packet per response

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                network.pass_on(self)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as relay:
            thread = threading.Thread(target=relay.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield f"http://127.0.0.1:{relay.server_port}"
            finally:
                relay.shutdown()
                thread.join()
                self.wait()

    def pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        """Deliver one request, at once or late."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        request = handler.command, handler.path, list(handler.headers.items()), body
        if handler.command == "POST" and self._late:
            late = threading.Thread(target=self._deliver_late, args=(self._late.pop(0), request))
            self._on_their_way.append(late)
            late.start()
            handler.close_connection = True
            return
        status, headers, content = self._deliver(*request)
        handler.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)
        handler.wfile.flush()

    def _deliver_late(self, seconds: float, request: tuple[str, str, list[tuple[str, str]], bytes]) -> None:
        time.sleep(seconds)
        self.statuses.append(self._deliver(*request)[0])

    def _deliver(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._to, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()


@pytest.fixture
def network(local_ci: LocalCI) -> Network:
    """A network in front of the test's local CI."""
    return Network(local_ci)


@pytest.fixture
def far_client(network: Network, local_ci: LocalCI) -> Iterator[CIClient]:
    """A client that reaches the local CI through ``network`` and never repeats a request."""
    keys = Credentials(secret_id=local_ci.secret_id, secret_key=local_ci.secret_key)
    once = RetryPolicy(max_attempts=1)
    with (
        network.serving() as endpoint,
        CIClient(keys, REGION, BUCKET, endpoint=endpoint, retry=once) as client,
    ):
        yield client


@dataclass(slots=True)
class OddJob:
    """A job in the table of the odd service."""

    job_id: str
    created: int
    state: str = "Submitted"
    queue_id: str = "p1"

    def to_xml(self) -> str:
        """The job's ``JobsDetail`` element, with the parts that the client reads."""
        created = datetime.fromtimestamp(self.created, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S+0000")
        return (
            f"<JobsDetail><JobId>{self.job_id}</JobId><Tag>DocProcess</Tag><State>{self.state}</State>"
            f"<CreationTime>{created}</CreationTime><QueueId>{self.queue_id}</QueueId></JobsDetail>"
        )


@dataclass(slots=True)
class OddService:
    """Document jobs of a service that behaves oddly in ways that the API pages do not rule out."""

    jobs: list[OddJob] = field(default_factory=list)
    """All jobs, in the order of their creation."""
    queue_ids: tuple[str, ...] = ("p1",)
    by_offset: bool = False
    """Whether tokens are offsets, so that pages shift when old jobs are deleted."""
    token_uses: int | None = None
    """Number of times that a token may be used; None if that number has no limit."""
    empty_pages: int = 0
    """Number of empty pages before each page with jobs."""
    repeats: bool = False
    """Whether the last page of several repeats the token of its own request."""
    is_endless: bool = False
    """Whether the last page is followed by empty pages with new tokens, without end."""
    unlisted: set[str] = field(default_factory=set)
    """Ids of the jobs that listings do not show."""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and query parameters of each request."""
    _tokens: dict[str, tuple[int | str, int]] = field(default_factory=dict)
    _uses: dict[str, int] = field(default_factory=dict)

    def respond(self, target: str) -> tuple[int, str]:
        """Return the status and the body of the response."""
        url = urlsplit(target)
        given = dict(parse_qsl(url.query))
        self.requests.append((url.path, given))
        if url.path == "/docqueue":
            queues = "".join(
                f"<QueueList><QueueId>{queue_id}</QueueId><State>Active</State></QueueList>"
                for queue_id in self.queue_ids
            )
            return 200, f"<Response><TotalCount>{len(self.queue_ids)}</TotalCount>{queues}</Response>"
        if url.path == "/doc_jobs":
            return self._list(given)
        job_id = url.path.rpartition("/")[2]
        found = "".join(job.to_xml() for job in self.jobs if job.job_id == job_id)
        return 200, f"<Response>{found or f'<NonExistJobIds>{job_id}</NonExistJobIds>'}</Response>"

    def _list(self, given: dict[str, str]) -> tuple[int, str]:
        token = given.get("nextToken", "")
        if token and (token not in self._tokens or self._is_used_up(token)):
            return 400, "<Error><Code>InvalidArgument</Code><Message>nextToken is invalid</Message></Error>"
        place, empty = self._tokens.get(token, (0 if self.by_offset else "", 0))
        if empty < self.empty_pages or empty > 999:
            return 200, f"<Response>{self._token(place, empty + 1)}</Response>"
        listed = self._listed(given)
        if not self.by_offset:
            ids = [job.job_id for job in listed]
            first = ids.index(str(place)) + 1 if place else 0
        else:
            first = int(place)
        page, size = listed[first:], int(given["size"])
        shown = "".join(job.to_xml() for job in page[:size])
        more = ""
        if len(page) > size:
            more = self._token(first + size if self.by_offset else page[size - 1].job_id, 0)
        elif self.is_endless:
            more = self._token(place, 1000)
        elif self.repeats and token:
            more = f"<NextToken>{token}</NextToken>"
        return 200, f"<Response>{shown}{more}</Response>"

    def _listed(self, given: dict[str, str]) -> list[OddJob]:
        since = given.get("startCreationTime")
        after = datetime.strptime(since, "%Y-%m-%dT%H:%M:%S%z").timestamp() if since else 0
        jobs = [
            job
            for job in self.jobs
            if job.created >= after
            and job.job_id not in self.unlisted
            and given.get("queueId", job.queue_id) == job.queue_id
        ]
        return jobs if given["orderByTime"] == "Asc" else jobs[::-1]

    def _token(self, place: int | str, empty: int) -> str:
        token = uuid.uuid4().hex
        self._tokens[token] = place, empty
        return f"<NextToken>{token}</NextToken>"

    def _is_used_up(self, token: str) -> bool:
        self._uses[token] = self._uses.get(token, 0) + 1
        return self.token_uses is not None and self._uses[token] > self.token_uses


@pytest.fixture
def odd_service() -> OddService:
    """The service that :func:`odd_client` is connected to."""
    return OddService()


@pytest.fixture
def odd_client(odd_service: OddService) -> Iterator[CIClient]:
    """A client for the odd service."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # buffered: one packet per response

        def do_GET(self) -> None:
            status, body = odd_service.respond(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    keys = Credentials(secret_id="AKIDtest", secret_key="secret")
    once = RetryPolicy(max_attempts=1)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        try:
            with CIClient(keys, REGION, BUCKET, endpoint=endpoint, retry=once) as client:
                yield client
        finally:
            server.shutdown()
            thread.join()
