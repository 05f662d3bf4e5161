"""Every request is verified: both forms of the signature, both services, the time and the token."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_ci.local import LocalCI

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "signatures.json").read_text())
REFUSALS = {
    "AccessDenied",
    "InvalidAccessKeyId",
    "InvalidAuthorization",
    "MissingAuthorization",
    "RequestTimeTooSkewed",
    "SecretidNotExist",
    "SignatureDoesNotMatch",
    "SignatureExpired",
}
HOST_OF_VECTORS_WITHOUT_ONE = "examplebucket-1250000000.cos.ap-guangzhou.myqcloud.com"


@pytest.fixture
def vector_server(serve: Callable[..., LocalCI]) -> LocalCI:
    """A server with the keys of the vectors; its clock shows a time at which they are valid."""
    server = serve(secret_id=VECTORS["secret_id"], secret_key=VECTORS["secret_key"])
    server.faults.add("clock", seconds=VECTORS["valid_at"] - time.time(), count=1000)
    return server


def request_of(vector: dict[str, Any]) -> dict[str, Any]:
    """Method, target, headers and body of a vector, in the form in which a client sends them."""
    query = "&".join(f"{quote(name, '')}={quote(value, '')}" for name, value in vector["params"])
    headers = {"Host": HOST_OF_VECTORS_WITHOUT_ONE, **dict(vector["headers"])}
    return {
        "method": vector["method"],
        "target": quote(vector["path"]) + (f"?{query}" if query else ""),
        "headers": {**headers, "Authorization": vector["authorization"]},
        "body": b"x" * int(headers["Content-Length"]) if "Content-Length" in headers else None,
    }


def is_refused(reply: Any) -> bool:
    """Whether the signature was refused; later errors, such as a missing object, do not count."""
    return reply.status in (401, 403) and reply.code in REFUSALS


@pytest.mark.parametrize("vector", VECTORS["headers"], ids=lambda vector: vector["id"])
def test_a_request_with_a_published_signature_is_accepted(
    vector_server: LocalCI, caller: Any, vector: Any
) -> None:
    reply = caller(vector_server).raw(**request_of(vector))
    assert not is_refused(reply), reply.body


@pytest.mark.parametrize("vector", VECTORS["headers"], ids=lambda vector: vector["id"])
def test_a_request_that_was_changed_after_signing_is_refused(
    vector_server: LocalCI, caller: Any, vector: Any
) -> None:
    call = caller(vector_server)
    changes: list[dict[str, Any]] = [
        {"method": {"GET": "DELETE", "PUT": "POST", "POST": "PUT"}[vector["method"]]},
        {"target": request_of(vector)["target"].replace("/", "/x", 1)},
    ]
    signed = [name for name, _ in vector["headers"]]
    changes += [
        {"headers": {**request_of(vector)["headers"], name: "9"}} for name in signed if name != "Host"
    ]
    for name in [name for name, _ in vector["params"][:1]]:
        changes.append(
            {"target": request_of(vector)["target"].replace(f"{quote(name, '')}=", f"{quote(name, '')}=9")}
        )
    for change in changes:
        if change.get("headers", {}).get("Content-Length") == "9":
            change["body"] = b"x" * 9
        reply = call.raw(**{**request_of(vector), **change})
        assert is_refused(reply), (change, reply.status, reply.body)


@pytest.mark.parametrize("vector", VECTORS["urls"], ids=lambda vector: vector["id"])
def test_a_signed_address_is_accepted_and_a_changed_one_refused(
    vector_server: LocalCI, caller: Any, vector: Any
) -> None:
    call = caller(vector_server)
    headers = {"Host": vector["host"], **dict(vector["headers"])}
    assert not is_refused(call.raw(vector["method"], vector["target"], headers, b""))
    assert is_refused(call.raw(vector["method"], "/x" + vector["target"][1:], headers, b""))
    assert (
        is_refused(call.raw(vector["method"], vector["target"][:-1], headers, b""))
        or "x=" in vector["target"]
    )


def test_the_whole_authorization_in_the_parameter_sign_is_accepted(server: LocalCI, call: Any) -> None:
    call.put("a.txt")
    host = call.host("cos")
    authorization = call.sign("GET", "/a.txt", [], {"Host": host})
    reply = call.raw("GET", f"/a.txt?sign={quote(authorization, '')}", {"Host": host})
    assert (reply.status, reply.body) == (200, b"content")


def test_a_request_in_absolute_form_is_verified_for_the_host_in_its_line(server: LocalCI, call: Any) -> None:
    call.put("a.txt")
    host = call.host("cos")
    authorization = call.sign("GET", "/a.txt", [], {"Host": host})
    headers = {"Host": host, "Authorization": authorization}
    assert call.raw("GET", f"http://{host}/a.txt", headers).body == b"content"
    assert call.raw("GET", f"http://x{host}/a.txt", headers).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("wire", ["cos.ap-guangzhou.localhost:9000", "cos.ap-guangzhou.example.test"])
@pytest.mark.parametrize("has_port", [True, False])
def test_the_host_may_be_signed_with_its_port_or_without(call: Any, wire: str, has_port: bool) -> None:
    wire = f"{call.bucket}.{wire}"
    signed = wire if has_port else wire.partition(":")[0]
    authorization = call.sign("HEAD", "/", [], {"Host": signed})
    assert call.raw("HEAD", "/", {"Host": wire, "Authorization": authorization}).status == 200


def test_a_blank_in_the_query_may_travel_as_plus_and_a_plus_in_the_path_is_a_plus(call: Any) -> None:
    call.put("a+b c.txt")
    host = call.host("cos")
    authorization = call.sign("GET", "/", [("prefix", "a+b c")], {"Host": host})
    reply = call.raw("GET", "/?prefix=a%2Bb+c", {"Host": host, "Authorization": authorization})
    assert reply.texts("Contents/Key") == ["a+b c.txt"]
    authorization = call.sign("GET", "/a+b c.txt", [], {"Host": host})
    assert call.raw("GET", "/a+b%20c.txt", {"Host": host, "Authorization": authorization}).status == 200


EXPECTED = {
    "no signature": ("AccessDenied", 403, "MissingAuthorization", 401),
    "no signature time": ("AccessDenied", 403, "InvalidAuthorization", 401),
    "unknown id": ("InvalidAccessKeyId", 403, "SecretidNotExist", 401),
    "wrong key": ("SignatureDoesNotMatch", 403, "InvalidAuthorization", 401),
    "clock 20 minutes ahead": ("RequestTimeTooSkewed", 403, "SignatureExpired", 401),
    "clock 20 minutes behind": ("AccessDenied", 403, "SignatureExpired", 401),
}


@pytest.mark.parametrize("defect", EXPECTED)
@pytest.mark.parametrize("service", ["cos", "ci"])
def test_each_defect_has_the_code_of_its_service(call: Any, defect: str, service: str) -> None:
    path = {"cos": "/a.txt", "ci": "/doc_jobs/d1"}[service]
    host = call.host(service)
    drift = {"clock 20 minutes ahead": 1200, "clock 20 minutes behind": -1200}.get(defect, 0)
    good = call.sign("GET", path, [], {"Host": host}, time.time() + drift)
    authorization = {
        "no signature": "",
        "no signature time": good.replace("q-sign-time", "q-other-time"),
        "unknown id": good.replace("q-ak=", "q-ak=X"),
        "wrong key": good[:-4] + ("0000" if good[-4:] != "0000" else "1111"),
    }.get(defect, good)
    reply = call.raw("GET", path, {"Host": host, "Authorization": authorization})
    on_cos = EXPECTED[defect][:2]
    assert (reply.code, reply.status) == (on_cos if service == "cos" else EXPECTED[defect][2:])
    assert call.server.secret_key.encode() not in reply.body
    if defect == "clock 20 minutes behind" and service == "cos":
        assert "Request has expired" in reply.text("Message")


def test_a_server_whose_clock_is_wrong_says_its_time_and_refuses(call: Any) -> None:
    call.server.faults.add("clock", seconds=1200)
    reply = call("GET", "ci", "/docqueue")
    assert (reply.status, reply.code) == (401, "SignatureExpired")
    assert reply.headers["date"] != call("GET", "ci", "/docqueue").headers["date"]
    assert call("GET", "ci", "/docqueue", now=time.time()).status == 200


@pytest.mark.parametrize("header", ["x-cos-security-token", "x-ci-security-token"])
def test_a_server_with_a_token_demands_it_under_either_name(
    serve: Callable[..., LocalCI], caller: Any, header: str
) -> None:
    server = serve(token="tok/en+1==")
    assert caller(server, signed_headers={header: "tok/en+1=="})("GET", "ci", "/docqueue").status == 200
    for wrong in ({}, {header: "tok"}):
        reply = caller(server, signed_headers=wrong)("GET", "ci", "/docqueue")
        assert (reply.status, reply.code) == (401, "AccessDenied")
        assert caller(server, signed_headers=wrong)("GET", "cos", "/").status == 403
    assert caller(server)("GET", "cos", "/", [("x-cos-security-token", "tok/en+1==")]).status == 200


def test_what_is_not_listed_as_signed_may_be_anything(call: Any) -> None:
    host = call.host("ci")
    authorization = call.sign("PUT", "/jobs/c0", [], {"Host": host})
    headers = {"Host": host, "Authorization": authorization, "X-Other": "1", "Content-Length": "0"}
    assert call.raw("PUT", "/jobs/c0?cancel", headers).code == "ResourceNotFound"


def test_header_values_outside_ascii_are_signed_as_utf8(call: Any) -> None:
    assert call.put("a", **{"x-cos-meta-owner": "é表"}).status == 200
    assert call("HEAD", "cos", "/a").headers["x-cos-meta-owner"].encode("latin-1").decode() == "é表"
