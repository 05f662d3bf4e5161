"""Every call ends in bounded time and memory, even if the other side sends slowly, oddly or endlessly."""

from __future__ import annotations

import itertools
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.client import (
    CIClient,
    CIError,
    Credentials,
    DocProcess,
    RetryPolicy,
    SubmissionUnknownError,
)

CREDENTIALS = Credentials(secret_id="AKIDEXAMPLEexample0123456789abcdefgh", secret_key="ExampleSecretKey")
ONCE = RetryPolicy(max_attempts=1)
HEAD = b"HTTP/1.1 200 OK\r\nx-ci-request-id: NWRl\r\n"
FAILED = b"HTTP/1.1 500 Internal Server Error\r\nx-ci-request-id: NWRl\r\n"


@contextmanager
def serving(pieces: Callable[[], Iterator[bytes]], pause: float) -> Iterator[str]:
    """A server that sends the pieces to each client, ``pause`` seconds apart, until the client hangs up."""
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            for piece in pieces():
                connection.sendall(piece)
                if over.wait(pause):
                    return

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def dripping(before: bytes, piece: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: itertools.chain([before] if before else [], itertools.repeat(piece))


SLOW = {
    "status line": (b"", b"H"),
    "headers": (HEAD + b"x-a: ", b"a"),
    "many headers": (HEAD, b"a: b\r\n"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "body without end": (HEAD + b"\r\n", b" "),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    "length of a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
    "error body": (FAILED + b"Content-Length: 1000000\r\n\r\n", b" "),
    "error chunks": (FAILED + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
}
CALLS: dict[str, Callable[[CIClient], object]] = {
    "object": lambda ci: ci.read_object("a"),
    "job": lambda ci: ci.get_doc_job("d1"),
    "put": lambda ci: ci.put_object("a", b"abc"),
    "submission": lambda ci: ci.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess()),
}


def client(endpoint: str, **arguments: Any) -> CIClient:
    settings: dict[str, Any] = {"timeout": (0.1, 0.1), "retry": ONCE} | arguments
    return CIClient(CREDENTIALS, "ap-guangzhou", "examplebucket-1250000000", endpoint=endpoint, **settings)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("what", SLOW)
def test_what_comes_byte_by_byte_is_not_waited_for_without_end(what: str, call: str) -> None:
    """Each byte arrives within the read timeout, but the whole response takes longer than the deadline."""
    slowly = serving(dripping(*SLOW[what]), 0.005)
    with slowly as endpoint, client(endpoint) as ci, pytest.raises(CIError) as caught:
        CALLS[call](ci)
    if call == "submission":
        assert isinstance(caught.value, SubmissionUnknownError)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("what", SLOW)
def test_what_comes_fast_and_without_end_takes_no_memory(what: str, call: str) -> None:
    before, piece = SLOW[what]
    many = piece * (65536 // len(piece))
    with serving(dripping(before, many), 0) as endpoint, client(endpoint, timeout=(0.15, 0.15)) as ci:
        tracemalloc.start()
        with suppress(CIError):
            CALLS[call](ci)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 100 * 1024 * 1024


def test_an_object_may_take_longer_while_it_comes(tmp_path: Path) -> None:
    """The bytes arrive steadily, and the whole download takes several times the deadline."""
    piece = b"x" * 65536
    pieces = [HEAD + b'ETag: "9"\r\nDate: Tue, 14 Nov 2023 22:14:20 GMT\r\nContent-Length: 1310720\r\n\r\n']
    slowly = serving(lambda: iter(pieces + [piece] * 20), 0.05)
    with slowly as endpoint, client(endpoint, timeout=(5, 5, 0.3)) as ci:
        assert ci.get_object("a", tmp_path / "a").size == 1310720


def test_an_object_without_end_is_not_read_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an announced length, the client stops reading at a fixed limit."""
    monkeypatch.setattr("airflow_provider_ci.client.http.responses.MAX_UNANNOUNCED_BYTES", 10_000_000)
    piece = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    endless = dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", piece)
    with serving(endless, 0) as endpoint, client(endpoint, timeout=(5, 5)) as ci:
        with pytest.raises(CIError, match="more than 10000000 bytes"):
            ci.read_object("a")
        with pytest.raises(CIError, match="more than 10000000 bytes"):
            ci.get_object("a", tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_the_deadline_can_be_said(reply: Any) -> None:
    slowly, refused = serving(dripping(b"", b"H"), 0.02), pytest.raises(CIError, match="in time")
    with slowly as endpoint, client(endpoint, timeout=(5, 5, 0.2)) as ci, refused:
        ci.head_bucket()


@pytest.mark.parametrize("timeout", [0, -1, (1, 0), (1, 1, 0), (1,), (1, 1, 1, 1)])
def test_a_timeout_is_positive(timeout: Any) -> None:
    with pytest.raises(ValueError, match="timeout"):
        client("http://127.0.0.1:1", timeout=timeout)


def test_an_upload_that_nobody_takes_ends(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 50_000_000)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ci = client(f"http://127.0.0.1:{listener.getsockname()[1]}")
        for source in (tmp_path / "a", b"x" * 50_000_000):
            with pytest.raises(CIError):
                ci.put_object("a", source)
        ci.close()
