"""A client cannot block the local CI by slow bodies or many conversions, nor control it from elsewhere."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.hosts import control
from airflow_provider_ci.local.http import bodies
from airflow_provider_ci.local.sync import sync


def _upload(call: Any, pieces: list[bytes], pause: float, length: int) -> bytes:
    """Send a body in pieces, ``pause`` seconds apart, and return the whole response."""
    headers = {"Host": call.host("cos"), "Content-Length": str(length)}
    headers["Authorization"] = call.sign("PUT", "/slow", [], headers)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    server = urlsplit(call.server.endpoint)
    with socket.create_connection((server.hostname, server.port), timeout=30) as connection:
        connection.sendall(f"PUT /slow HTTP/1.1\r\n{lines}\r\n".encode())
        answer = bytearray()

        def receive() -> None:
            with suppress(OSError):
                while piece := connection.recv(65536):
                    answer.extend(piece)

        reader = threading.Thread(target=receive)
        reader.start()
        with suppress(OSError):  # the server may have closed the connection
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
        reader.join(30)
        return bytes(answer)


def test_an_upload_that_pauses_too_long_is_refused(
    call: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "PACE", bodies.Pace(pause_seconds=0.3))
    answer = _upload(call, [b"begin"], 0, 100)
    assert b" 400 " in answer.splitlines()[0]
    assert b"<Code>RequestTimeout</Code>" in answer
    assert b"nothing arrived for 0.3 s" in answer
    assert not (folder / "slow").exists()


def test_an_upload_that_drips_is_refused(call: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "PACE", bodies.Pace(bytes_per_second=1e6, grace_seconds=0.3))
    answer = _upload(call, [b"x"] * 100, 0.05, 1000)
    assert b"<Code>RequestTimeout</Code>" in answer
    assert b"less than 1e+06 bytes a second arrived" in answer
    assert not (folder / "slow").exists()


def test_a_fast_upload_in_pieces_is_taken(call: Any, folder: Path) -> None:
    assert call.put("fast", b"x" * 3_000_000).status == 200
    assert (folder / "fast").stat().st_size == 3_000_000


def test_only_so_many_requests_wait_for_a_conversion(
    serve: Callable[..., LocalCI],
    caller: Any,
    gate: Any,
    folder: Path,
    until: Callable[[Callable[[], bool]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sync, "MAX_WAITING", 2)
    call = caller(serve(convert=gate, workers=1))
    (folder / "a.docx").write_text("text")
    preview = [("ci-process", "doc-preview"), ("dstType", "pdf")]
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(call, "GET", "cos", "/a.docx", preview) for _ in range(8)]
        until(lambda: sum(each.done() for each in calls) == 5)
        refused = [each.result() for each in calls if each.done()]
        gate.open.set()
        answers = [each.result() for each in calls]
    assert {(reply.status, reply.code) for reply in refused} == {(503, "SlowDown")}
    assert sorted(reply.status for reply in answers) == [200] * 3 + [503] * 5
    assert call("GET", "cos", "/a.docx", preview).status == 200


@pytest.mark.parametrize("path", control.PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_control_is_for_this_machine_whatever_host_a_request_names(
    method: str, path: str, serve: Callable[..., LocalCI], caller: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(host="0.0.0.0")
    call = caller(server)
    sent = {"Host": "127.0.0.1", "Content-Type": "application/json"}
    # A test cannot choose its own address, so the check is replaced by one that sees another machine.
    monkeypatch.setattr(control, "is_from_here", lambda _: False)
    reply = call.raw(method, path, sent, json.dumps({"action": "cut_before"}))
    assert (reply.status, json.loads(reply.body)) == (
        403,
        {"error": "only programs on the machine of the local CI may control it"},
    )
    assert server.faults.pending() == []
