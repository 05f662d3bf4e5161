"""Faults: as many of the next responses as requested go wrong in the chosen way, and later ones do not."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_ci.local import LocalCI


def control(call: Any, method: str, body: object = None, **headers: str) -> Any:
    sent = {"Host": call.server.endpoint.partition("//")[2], "Content-Type": "application/json", **headers}
    return call.raw(method, "/_local/faults", sent, None if body is None else json.dumps(body))


def broken(call: Any, *request: Any, **more: Any) -> bool:
    """Whether the connection ends before a complete response."""
    try:
        call(*request, **more)
    except (http.client.HTTPException, ConnectionError):
        return True
    return False


def test_faults_are_set_read_and_cleared_over_http(call: Any, server: LocalCI) -> None:
    assert json.loads(control(call, "GET").body) == {"faults": []}
    reply = control(call, "POST", {"action": "error", "code": "SlowDown", "count": 2, "host": "ci"})
    assert (reply.status, json.loads(reply.body)["faults"][0]["count"]) == (200, 2)
    control(call, "POST", [{"action": "cut_before"}, {"action": "truncate"}])
    assert [fault["action"] for fault in server.faults.pending()] == ["error", "cut_before", "truncate"]
    assert json.loads(control(call, "DELETE").body) == {"faults": []}
    assert server.faults.pending() == []


def test_the_next_answers_fail_as_told_and_then_no_more(call: Any, server: LocalCI) -> None:
    server.faults.add("error", code="SlowDown", count=2)
    replies = [
        call("GET", service, path) for service, path in (("ci", "/docqueue"), ("cos", "/"), ("cos", "/"))
    ]
    assert [reply.status for reply in replies] == [429, 503, 200]
    assert [reply.code for reply in replies[:2]] == ["SlowDown", "SlowDown"]


def test_an_error_may_have_any_status_and_a_time_to_wait(call: Any, server: LocalCI) -> None:
    server.faults.add("error", status=503, retry_after=7)
    reply = call("GET", "ci", "/docqueue")
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "ServiceUnavailable", "7")
    server.faults.add("error", code="OwnCode", status=418)
    assert (call("GET", "ci", "/docqueue").status, call("GET", "ci", "/docqueue").status) == (418, 200)


def test_a_fault_meets_only_the_requests_it_is_meant_for(call: Any, server: LocalCI) -> None:
    server.faults.add("error", code="InternalError", method="POST", path="/doc_jobs", host="ci")
    assert call("GET", "ci", "/doc_jobs", [("tag", "DocProcess")]).status == 200
    assert call("POST", "ci", "/pic_jobs", body="").code == "MissingContent"
    assert call.put("doc_jobs").status == 200
    assert call("POST", "ci", "/doc_jobs", body="").code == "InternalError"
    assert call("POST", "ci", "/doc_jobs", body="").code == "MissingContent"


def test_cut_before_does_nothing_and_cut_after_does_everything_but_answer(call: Any, server: LocalCI) -> None:
    call.put("a.docx")
    server.faults.add("cut_before", method="POST")
    assert broken(call, "POST", "ci", "/doc_jobs", body=call.doc_job("a.docx"))
    assert call("GET", "ci", "/doc_jobs", [("tag", "DocProcess")]).texts("JobsDetail") == []
    server.faults.add("cut_after", method="POST")
    assert broken(call, "POST", "ci", "/doc_jobs", body=call.doc_job("a.docx"))
    assert len(call("GET", "ci", "/doc_jobs", [("tag", "DocProcess")]).texts("JobsDetail")) == 1
    server.faults.add("cut_after", method="PUT")
    assert broken(call, "PUT", "cos", "/new", body=b"x")
    assert call.get("new").body == b"x"


def jobs(call: Any) -> int:
    return len(call("GET", "ci", "/doc_jobs", [("tag", "DocProcess")]).texts("JobsDetail"))


def test_an_error_after_comes_when_everything_is_done(call: Any, server: LocalCI) -> None:
    call.put("a.docx")
    server.faults.add("error_after", method="POST")
    reply = call("POST", "ci", "/doc_jobs", body=call.doc_job("a.docx"))
    assert (reply.status, reply.code, jobs(call)) == (500, "InternalError", 1)
    server.faults.add("error_after", status=503, retry_after=2, host="ci")
    reply = call("POST", "ci", "/doc_jobs", body=call.doc_job("a.docx"))
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "ServiceUnavailable", "2")
    assert jobs(call) == 2
    server.faults.add("error_after", code="SlowDown", method="PUT")
    assert call.put("new", b"x").code == "SlowDown"
    server.faults.add("error_after", method="GET")
    assert call.get("new").status == 500
    assert call.get("new").body == b"x"


def give_up(call: Any, body: str) -> None:
    """Send a complete request for a job, and close the connection as soon as the server uses the fault."""
    headers = {"Host": call.host("ci"), "Content-Length": str(len(body))}
    headers["Authorization"] = call.sign("POST", "/doc_jobs", [], headers)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    address = urlsplit(call.server.endpoint)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(f"POST /doc_jobs HTTP/1.1\r\n{head}\r\n{body}".encode())
        while any(fault["method"] == "POST" for fault in call.server.faults.pending()):
            time.sleep(0.001)


@pytest.mark.parametrize(("action", "heard"), [("slow", 0), ("late", 1)])
def test_who_gives_up_was_heard_if_only_the_answer_is_late(
    call: Any, server: LocalCI, action: str, heard: int
) -> None:
    call.put("a.docx")
    server.faults.add(action, seconds=0.3, method="POST")
    give_up(call, call.doc_job("a.docx"))
    server.faults.add("slow", seconds=0.3, method="HEAD")  # starts, and so also ends, after the POST
    assert call("HEAD", "cos", "/").status == 200
    assert jobs(call) == heard


def test_a_late_answer_is_whole(call: Any, server: LocalCI) -> None:
    server.faults.add("late", seconds=0.3)
    begin = time.monotonic()
    assert call.put("a", b"x").status == 200
    assert time.monotonic() - begin >= 0.3
    assert call.get("a").body == b"x"


def test_a_slow_request_is_not_read_before_its_time(call: Any, server: LocalCI) -> None:
    server.faults.add("slow", seconds=0.3, method="PUT")
    headers = {"Host": call.host("cos"), "Expect": "100-continue", "Content-Length": "1"}
    headers["Authorization"] = call.sign("PUT", "/a", [], headers)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    address = urlsplit(server.endpoint)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        begin = time.monotonic()
        connection.sendall(f"PUT /a HTTP/1.1\r\n{head}\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue")
        assert time.monotonic() - begin >= 0.3
        connection.sendall(b"x")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


def test_a_fault_of_the_path_of_the_bucket_meets_its_listing_alone(call: Any, server: LocalCI) -> None:
    server.faults.add("truncate", method="GET", path="/", host="cos")
    assert call.put("a", b"x").status == 200
    assert call.get("a").body == b"x"
    assert broken(call, "GET", "cos", "/", [("prefix", "a")])
    assert call("GET", "cos", "/").texts("Contents/Key") == ["a"]


@pytest.mark.parametrize("size", [1000, 3_000_000])
def test_a_truncated_answer_has_half_of_its_body(call: Any, server: LocalCI, size: int) -> None:
    call.put("a", b"x" * size)
    server.faults.add("truncate", method="GET")
    with pytest.raises(http.client.IncompleteRead) as caught:
        call.get("a")
    assert len(caught.value.partial) == size // 2
    assert call.get("a").body == b"x" * size
    server.faults.add("truncate")
    assert broken(call, "GET", "cos", "/")


def test_a_slow_answer_comes_late_and_holds_up_no_other(call: Any, server: LocalCI) -> None:
    server.faults.add("slow", seconds=0.3, path="/slow")
    begin = time.monotonic()
    assert call.get("slow").status == 404
    assert time.monotonic() - begin >= 0.3


def test_every_answer_waits_for_the_latency(serve: Any, caller: Any) -> None:
    call = caller(serve(latency_ms=200))
    begin = time.monotonic()
    assert call("GET", "ci", "/docqueue").status == 200
    assert time.monotonic() - begin >= 0.2


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"action": "explode"},
        {"action": "error"},
        {"action": "slow"},
        {"action": "late"},
        {"action": "clock"},
        {"action": "error", "code": "SlowDown", "count": 0},
        {"action": "error", "code": "SlowDown", "host": "s3"},
        {"action": "error", "code": 5},
        {"action": "slow", "seconds": "long"},
        {"action": "error", "code": "SlowDown", "colour": "red"},
        "error",
        [["error"]],
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(call: Any, server: LocalCI, fault: object) -> None:
    reply = control(call, "POST", fault)
    assert (reply.status, bool(json.loads(reply.body)["error"])) == (400, True)
    assert server.faults.pending() == []
    if isinstance(fault, dict) and "action" in fault:
        with pytest.raises(ValueError, match="fault"):
            server.faults.add(**fault)


def test_the_control_answers_only_to_this_machine_and_to_json(call: Any, server: LocalCI) -> None:
    assert control(call, "POST", {"action": "cut_before"}, **{"Content-Type": "text/plain"}).status == 400
    assert control(call, "PUT", {}).status == 405
    for host in ("evil.example.com", call.host("ci"), call.host("cos"), "127.0.0.1.example.com"):
        assert control(call, "POST", {"action": "cut_before"}, Host=host).status != 200
    assert server.faults.pending() == []
    for host in ("localhost", "localhost:1", "[::1]:9000", "127.0.0.1"):
        assert control(call, "GET", Host=host).status == 200


def test_an_object_may_be_called_like_the_control(call: Any) -> None:
    assert call.put("_local/faults", b"mine").status == 200
    assert call.get("_local/faults").body == b"mine"


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 1e300, -1e300, "1"])
def test_seconds_beyond_all_measure_are_refused(server: LocalCI, seconds: Any) -> None:
    with pytest.raises(ValueError, match="seconds is not a number of at most 1,000,000,000"):
        server.faults.add("clock", seconds=seconds)


def test_a_fault_nested_without_end_is_refused(call: Any) -> None:
    reply = call.raw(
        "POST", "/_local/faults", {"Host": "localhost", "Content-Type": "application/json"}, "[" * 200_000
    )
    assert reply.status == 400
