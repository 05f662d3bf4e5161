"""Signatures of arbitrary keys, queries and headers, verified by the official SDK's signer.

The signer sees the bytes that would be sent, so the tests cover our quoting of paths and queries, too.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from airflow_provider_ci.client import CIClient, Credentials, DocProcess, signing
from airflow_provider_ci.client.http.request import TOKEN_PARAMS, Request

KEYS = Credentials(
    secret_id="AKIDEXAMPLEexample0123456789abcdefgh", secret_key="ExampleSecretKey0123456789abcdef"
)
BUCKET = "examplebucket-1250000000"
HOST = f"{BUCKET}.cos.ap-guangzhou.myqcloud.com"
START, END = 1700000000, 1700003600
NOW = START + 60

Judge = Callable[..., str]

printable = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
object_keys = st.text(
    st.one_of(st.sampled_from("/.+%~ &=?#;,"), st.characters(exclude_categories=["Cs"])),
    min_size=1,
    max_size=60,
).filter(lambda key: len(key.encode()) <= 850 and not set(key) & set("\x18\x19\x1a\x1b"))
queries = st.dictionaries(any_text.filter(bool), any_text, max_size=5).filter(
    lambda query: len({name.lower() for name in query}) == len(query)
)
url_queries = queries.filter(
    lambda query: not any(name.lower().startswith("q-") or name.lower() in TOKEN_PARAMS for name in query)
)
header_names = st.one_of(
    st.sampled_from(
        ["Content-Type", "Expires", "range", "If-Match", "Pic-Operations", "x-ci-security-token"]
    ),
    st.from_regex(r"[xX]-cos-[A-Za-z0-9-]{1,10}", fullmatch=True),
)
headers = st.dictionaries(header_names, st.text(printable, max_size=30).map(str.strip), max_size=5).filter(
    lambda found: len({name.lower() for name in found}) == len(found)
)
methods = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"])
requests = st.builds(
    Request,
    method=methods,
    service=st.just("cos"),
    path=object_keys.map(lambda key: f"/{key}"),
    params=queries.map(lambda query: tuple(query.items())),
    headers=headers,
)


def signed(request: Request, start: int = START, end: int = END) -> dict[str, str]:
    """The headers of a request, ``Authorization`` included."""
    sent = {"Host": HOST, **request.headers}
    authorization = signing.authorization(
        KEYS,
        request.method,
        request.path,
        request.params,
        sent.items(),
        key_time=signing.key_time(start, end),
    )
    return {**sent, "Authorization": authorization}


def changed(value: str) -> str:
    return f"{value}x"


@given(requests)
def test_any_request_is_signed_as_the_sdk_signs_it(judge: Judge, request: Request) -> None:
    assert judge(request.method, request.target, signed(request), now=NOW) == ""


@given(requests, methods)
def test_another_method_is_noticed(judge: Judge, request: Request, method: str) -> None:
    assume(method != request.method)
    assert judge(method, request.target, signed(request), now=NOW) == "signature differs"


@given(requests, object_keys)
def test_another_path_is_noticed(judge: Judge, request: Request, key: str) -> None:
    assume(f"/{key}" != request.path)
    other = Request(method=request.method, service="cos", path=f"/{key}", params=request.params)
    assert judge(request.method, other.target, signed(request), now=NOW) == "signature differs"


@given(requests, st.data())
def test_another_value_of_a_parameter_is_noticed(judge: Judge, request: Request, data: st.DataObject) -> None:
    assume(request.params)
    name = data.draw(st.sampled_from([name for name, _ in request.params]))
    params = tuple((each, changed(value) if each == name else value) for each, value in request.params)
    other = Request(method=request.method, service="cos", path=request.path, params=params)
    assert judge(request.method, other.target, signed(request), now=NOW) == "signature differs"


@given(requests, st.data())
def test_a_parameter_that_is_taken_away_is_noticed(
    judge: Judge, request: Request, data: st.DataObject
) -> None:
    assume(request.params)
    gone = data.draw(st.sampled_from(request.params))
    rest = tuple(pair for pair in request.params if pair != gone)
    other = Request(method=request.method, service="cos", path=request.path, params=rest)
    assert judge(request.method, other.target, signed(request), now=NOW) == "signature differs"


@given(requests, st.data())
def test_another_value_of_a_header_is_noticed(judge: Judge, request: Request, data: st.DataObject) -> None:
    sent = signed(request)
    name = data.draw(st.sampled_from(["Host", *request.headers]))
    other = {**sent, name: changed(sent[name])}
    assert judge(request.method, request.target, other, now=NOW) == "signature differs"


@given(requests, st.integers(1, 10**6))
def test_a_moved_time_window_is_noticed(judge: Judge, request: Request, seconds: int) -> None:
    sent = signed(request)
    moved = sent["Authorization"].replace(f"{START};{END}", f"{START};{END + seconds}")
    assert (
        judge(request.method, request.target, {**sent, "Authorization": moved}, now=NOW)
        == "signature differs"
    )
    half = sent["Authorization"].replace(f"{START};{END}", f"{START};{END + seconds}", 1)
    assert judge(request.method, request.target, {**sent, "Authorization": half}, now=NOW) != ""
    for now in (START - seconds, END + seconds):
        assert judge(request.method, request.target, sent, now=now) == "not in its time window"


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_another_body_is_noticed(judge: Judge, body: bytes, other: bytes) -> None:
    assume(body != other)
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    request = Request(method="PUT", service="cos", path="/a", headers={"Content-MD5": md5})
    sent = signed(request)
    assert judge("PUT", request.target, sent, body=body, now=NOW) == ""
    assert judge("PUT", request.target, sent, body=other, now=NOW) == "body differs"
    forged = base64.b64encode(hashlib.md5(other).digest()).decode()
    assert judge("PUT", request.target, sent | {"Content-MD5": forged}, body=other) == "signature differs"


@given(object_keys, url_queries, headers, methods, st.integers(1, 10**6))
def test_any_url_is_signed_as_the_sdk_signs_it(
    judge: Judge, key: str, query: dict[str, str], sent: dict[str, str], method: str, seconds: int
) -> None:
    assume(KEYS.secret_key not in key)
    client = CIClient(KEYS, "ap-guangzhou", BUCKET)
    url = client.object_url(key, method=method, params=query, headers=sent, valid_seconds=seconds)
    base, _, rest = url.removeprefix("https://").partition("/")
    assert base == HOST
    assert url.isascii() and url.isprintable() and " " not in url and "#" not in url
    assert KEYS.secret_key not in url
    assert judge(method, f"/{rest}", {"Host": HOST, **sent}) == ""
    assert judge(method, f"/{rest}", {"Host": changed(HOST), **sent}) == "signature differs"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(key=object_keys, prefix=any_text)
def test_any_key_arrives_signed(key: str, prefix: str, ci: CIClient, wire: Any, listing_reply: Any) -> None:
    """The requests go over the wire; the fixture verifies every request that it receives."""
    wire.will(listing_reply(ETag='"9"'))
    ci.put_object(key, key.encode())
    ci.delete_object(key)
    ci.list_objects_page(prefix)
    ci.read_object(key)


@pytest.mark.parametrize("token", [None, "tok/en+1=="])
def test_each_kind_of_call_arrives_signed(
    token: str | None, connect: Callable[..., CIClient], wire: Any, job_reply: Any, judge: Judge
) -> None:
    wire.will(job_reply(input_key="in/表.docx", output_key="out/${Number}.png"))
    client = connect(token=token)
    client.submit_doc_job("in/表.docx", "out/${Number}.png", DocProcess("png"))
    sent = wire.last
    assert judge(sent.method, sent.target, sent.headers, body=sent.body, now=NOW) == ""
    stolen = {**sent.headers, "x-ci-security-token": "another"}
    expected = "signature differs" if token else ""
    assert judge(sent.method, sent.target, stolen, body=sent.body, now=NOW) == expected
