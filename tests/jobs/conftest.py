"""A network that loses requests and responses, between a client and a local CI."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from airflow_provider_ci.client import CIClient, Credentials, RetryPolicy
from airflow_provider_ci.local import LocalCI

REGION = "ap-guangzhou"
BUCKET = "examplebucket-1250000000"


class Network:
    """Passes requests on. The next submission may reach the service late, when nobody waits for it."""

    def __init__(self, server: LocalCI) -> None:
        self._to = urlsplit(server.endpoint).netloc
        self._late: list[float] = []
        self._on_their_way: list[threading.Thread] = []
        self.statuses: list[int] = []
        """How the service responded to what came late."""

    def delay_next(self, seconds: float) -> None:
        """Deliver the next submission so many seconds late; its connection is lost at once."""
        self._late.append(seconds)

    def wait(self) -> None:
        """Wait until all that is late has been delivered."""
        for thread in self._on_their_way:
            thread.join()

    @contextmanager
    def serving(self) -> Iterator[str]:
        """The endpoint."""
        network = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

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
        """Deliver one request, now or late."""
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
    """The way to the local CI of the test."""
    return Network(local_ci)


@pytest.fixture
def far_client(network: Network, local_ci: LocalCI) -> Iterator[CIClient]:
    """A client behind that network, which does not repeat anything by itself."""
    keys = Credentials(secret_id=local_ci.secret_id, secret_key=local_ci.secret_key)
    once = RetryPolicy(max_attempts=1)
    with (
        network.serving() as endpoint,
        CIClient(keys, REGION, BUCKET, endpoint=endpoint, retry=once) as client,
    ):
        yield client
