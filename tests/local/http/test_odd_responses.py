"""Faults that send a page of another server, send byte by byte, or do the work late."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_ci.local import LocalCI

DOC_JOBS = [("tag", "DocProcess")]


def jobs(call: Any) -> int:
    return len(call("GET", "ci", "/doc_jobs", DOC_JOBS).texts("JobsDetail"))


def connected(server: LocalCI) -> socket.socket:
    address = urlsplit(server.endpoint)
    return socket.create_connection((address.hostname, address.port), timeout=30)


def request(call: Any, method: str, service: str, path: str, body: str = "", **sign: Any) -> bytes:
    headers = {"Host": call.host(service), "Content-Length": str(len(body))}
    headers["Authorization"] = call.sign(method, path, [], headers, **sign)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n{body}".encode()


@pytest.mark.parametrize("action", ["error", "error_after"])
def test_an_error_may_come_with_status_200(call: Any, server: LocalCI, action: str) -> None:
    server.faults.add(action, code="SlowDown", status=200, method="PUT")
    reply = call.put("a")
    assert (reply.status, reply.xml.tag, reply.code, "etag" in reply.headers) == (
        200,
        "Error",
        "SlowDown",
        False,
    )
    assert call.get("a").status == (404 if action == "error" else 200)


def test_a_page_in_place_of_the_response_stores_nothing(call: Any, server: LocalCI) -> None:
    server.faults.add("page", method="PUT", path="/a", host="cos", count=2)
    for _ in range(2):
        reply = call.put("a")
        assert (reply.status, reply.headers["content-type"]) == (200, "text/html")
        assert b"<html>" in reply.body
        assert {"etag", "x-cos-request-id"}.isdisjoint(reply.headers)
    assert call.get("a").status == 404
    assert "etag" in call.put("a").headers


@pytest.mark.parametrize(
    "body", ["<Response><Error><Code>SlowDown</Code></Error></Response>", '{"code": 1}', "é"]
)
def test_a_page_may_have_any_body(call: Any, server: LocalCI, body: str) -> None:
    server.faults.add("page", body=body)
    assert call.get("a").body == body.encode()


@pytest.mark.parametrize("status", [400, 403, 404, 408, 429, 499, 502])
def test_a_page_may_come_after_the_job_was_taken(call: Any, server: LocalCI, status: int) -> None:
    call.put("a.docx")
    server.faults.add("page_after", status=status, method="POST", path="/doc_jobs")
    reply = call("POST", "ci", "/doc_jobs", body=call.doc_job("a.docx"))
    assert (reply.status, b"<html>" in reply.body, jobs(call)) == (status, True, 1)
    assert "x-ci-request-id" not in reply.headers


def test_a_submission_may_be_taken_late_without_a_response(call: Any, server: LocalCI, until: Any) -> None:
    call.put("a.docx")
    server.faults.add("taken_late", seconds=0.3, method="POST", path="/doc_jobs")
    begin = time.monotonic()
    with connected(server) as connection:
        connection.sendall(request(call, "POST", "ci", "/doc_jobs", call.doc_job("a.docx")))
        assert connection.recv(100) == b""
    until(lambda: jobs(call) == 1)
    assert time.monotonic() - begin >= 0.3


def test_an_upload_may_be_taken_late(call: Any, server: LocalCI, until: Any) -> None:
    server.faults.add("taken_late", seconds=0.1, method="PUT")
    with connected(server) as connection:
        connection.sendall(request(call, "PUT", "cos", "/a", "content"))
        assert connection.recv(100) == b""
    until(lambda: call.get("a").status == 200)
    assert call.get("a").body == b"content"


def test_a_signature_that_has_ended_when_the_request_is_taken_is_refused(
    call: Any, server: LocalCI, until: Any
) -> None:
    """Of two delayed requests, the first has a signature that expires before the server accepts it."""
    server.faults.add("taken_late", seconds=1.5, method="POST", count=2)
    for key, age_seconds in (("expired.docx", 599.5), ("valid.docx", 0)):
        signed = {"now": time.time() - age_seconds}  # signatures are valid for 600 s
        with connected(server) as connection:
            connection.sendall(request(call, "POST", "ci", "/doc_jobs", call.doc_job(key), **signed))
            assert connection.recv(100) == b""
    until(lambda: jobs(call) > 0)
    assert call("GET", "ci", "/doc_jobs", DOC_JOBS).texts("JobsDetail/Input/Object") == ["valid.docx"]


@pytest.mark.parametrize(
    ("part", "at_once"), [("status", b""), ("headers", b"HTTP/1.1 200 OK\r\n"), ("body", b"")]
)
def test_a_response_may_drip(call: Any, server: LocalCI, part: str, at_once: bytes) -> None:
    call.put("a", b"0123456789")
    server.faults.add("drip", seconds=0.002, part=part)
    begin = time.monotonic()
    reply = call.get("a")
    assert (reply.status, reply.body) == (200, b"0123456789")
    assert time.monotonic() - begin >= 0.02
    server.faults.add("drip", seconds=60, part=part)
    with connected(server) as connection:
        connection.sendall(request(call, "GET", "cos", "/a"))
        got = b""
        while not got.startswith(b"H") or (part == "body" and not got.endswith(b"0")):
            got += connection.recv(10_000)
        assert got.startswith(at_once)
        assert len(got) <= {"status": 1, "headers": 18, "body": 10_000}[part]


def test_100_continue_may_come_without_end(call: Any, server: LocalCI) -> None:
    server.faults.add("endless_continue", seconds=0.001)
    with connected(server) as connection:
        connection.sendall(request(call, "GET", "cos", "/a"))
        got = b""
        while len(got) < 2_000:
            got += connection.recv(1_000)
    assert set(got.decode().split("\r\n\r\n")[:-1]) == {"HTTP/1.1 100 Continue"}
    assert call.get("a").status == 404


@pytest.mark.parametrize(
    "fault", [{"action": "drip"}, {"action": "taken_late"}, {"action": "page", "part": "tail"}]
)
def test_an_odd_fault_that_makes_no_sense_is_refused(server: LocalCI, fault: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="fault"):
        server.faults.add(**fault)


def test_faults_may_wait_from_the_start(serve: Any, caller: Any) -> None:
    call = caller(serve(faults=[{"action": "error", "code": "SlowDown"}, {"action": "cut_before"}]))
    assert call.get("a").code == "SlowDown"
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        call.get("a")
    assert call.get("a").code == "NoSuchKey"
    assert json.loads(call.raw("GET", "/_local/faults", {"Host": "localhost"}).body) == {"faults": []}
