"""A server that replays the responses of a record, and a clock that shows the times of the record.

A developer can replay a record that a user sent, and so run the check as if on the user's bucket.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import defaultdict, deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_provider_ci.check import Report, check_bucket
from airflow_provider_ci.check.record import public_query
from airflow_provider_ci.client import CIClient, Credentials, RetryPolicy

_SET_BY_THE_SERVER = {"connection", "content-length", "transfer-encoding"}


class ReplayClock:
    """The time of the record: each response sets the clock, and a sleep advances it without waiting."""

    def __init__(self, start: float) -> None:
        self._start = start
        self._elapsed = 0.0

    def now(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        self._elapsed += max(seconds, 0.0)

    def set(self, elapsed: float) -> None:
        self._elapsed = max(elapsed, self._elapsed)


class Replay:
    """Responds to each request with the recorded responses in order, then repeats the last one."""

    def __init__(self, record: Path | Mapping[str, Any]) -> None:
        loaded = json.loads(record.read_text()) if isinstance(record, Path) else record
        self.record: Mapping[str, Any] = loaded
        self.clock = ReplayClock(self.record["machine_time"])
        self.unknown: list[str] = []
        self._waiting: dict[str, deque[Mapping[str, Any]]] = defaultdict(deque)
        for entry in self.record["exchanges"]:
            host = entry["request_headers"]["Host"].partition(":")[0].partition(".localhost")[0]
            self._waiting[_name(entry["method"], host, entry["path"], entry["query"])].append(entry)

    def __enter__(self) -> Replay:
        replay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if self.raw_requestline and self.parse_request():
                    self.rfile.read(int(self.headers.get("Content-Length") or 0))
                    replay.respond(self)
                else:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        host = handler.headers["Host"].partition(":")[0].partition(".localhost")[0]
        name = _name(handler.command, host, unquote(url.path), public_query(url.query))
        known = self._waiting.get(name)
        if not known:
            self.unknown.append(name)
            handler.send_error(501)
            return
        entry = known.popleft() if len(known) > 1 else known[0]
        self.clock.set(entry["until"])
        _send(handler, entry)

    def check(self) -> Report:
        """Check the bucket of the record with our client."""
        port = self._server.server_address[1]
        credentials = Credentials(secret_id="anyone", secret_key="anything")
        clock: Any = self.clock
        with CIClient(
            credentials,
            self.record["region"],
            self.record["bucket"],
            endpoint=f"http://127.0.0.1:{port}",
            retry=RetryPolicy(max_attempts=2, max_seconds=1),
            _clock=clock,
        ) as client:
            folder, token = self.record["folder"].rstrip("/").rsplit("/", 1)
            return check_bucket(
                client,
                skip=self.record["skip"],
                folder=f"{folder}/",
                patience_seconds=self.record["patience_seconds"],
                _token=token,
            )


def _name(method: str, host: str, path: str, query: list[list[str]]) -> str:
    # A request names the service's own host; a signed URL leads to a host below .localhost.
    return f"{method} {host.removesuffix('.myqcloud.com')}{path} {query}"


def _send(handler: BaseHTTPRequestHandler, entry: Mapping[str, Any]) -> None:
    body = body_of(entry["body"])
    handler.send_response_only(entry["status"])
    for name, value in entry["headers"].items():
        if name.lower() not in _SET_BY_THE_SERVER:
            handler.send_header(name, value)
    if entry["status"] != 204:
        handler.send_header("Content-Length", _length(entry, body))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


def _length(entry: Mapping[str, Any], body: bytes) -> str:
    """The Content-Length to send; the response to a HEAD has a length but no body."""
    if entry["method"] == "HEAD":
        return str(entry["headers"].get("Content-Length", 0))
    return str(len(body))


def body_of(body: Any) -> bytes:
    """The bytes of a recorded body, which is a text or an object with a Base64 text."""
    return base64.b64decode(body["base64"]) if isinstance(body, Mapping) else str(body).encode()
