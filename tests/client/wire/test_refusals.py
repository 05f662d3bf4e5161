"""Service errors: even a sparse or malformed one raises the right exception."""

from __future__ import annotations

import gzip
from email.utils import formatdate
from typing import Any

import pytest

from airflow_provider_ci.client import (
    AccessDeniedError,
    AuthenticationError,
    CIClient,
    CIServiceError,
    ClockSkewError,
    InvalidRequestError,
    NotFoundError,
    QueuePausedError,
    RetryPolicy,
    ServerError,
    ThrottledError,
    errors,
)
from airflow_provider_ci.client.wire.refusals import refusal

NOW = 1700000060.0

CLASSES = [
    (400, "InvalidArgument", InvalidRequestError),
    (400, "ResourceNotFound", NotFoundError),
    (400, "CIRoleNotExist", AccessDeniedError),
    (400, "MediaBucketUnBinded", AccessDeniedError),
    (400, "ExpiredToken", AuthenticationError),
    (401, "InvalidAuthorization", AuthenticationError),
    (401, "SecretidNotExist", AuthenticationError),
    (401, "AccessDenied", AccessDeniedError),
    (401, "SignatureExpired", ClockSkewError),
    (402, "PaymentRequired", AccessDeniedError),
    (403, "AccessDenied", AccessDeniedError),
    (403, "SignatureDoesNotMatch", AuthenticationError),
    (403, "InvalidAccessKeyId", AuthenticationError),
    (403, "RequestTimeTooSkewed", ClockSkewError),
    (403, "QueueSaturated", ThrottledError),
    (403, "QueuePaused", QueuePausedError),
    (404, "NoSuchKey", NotFoundError),
    (404, "InvalidUrl", NotFoundError),
    (405, "MethodNotAllowed", InvalidRequestError),
    (411, "MissingContentLength", InvalidRequestError),
    (429, "SlowDown", ThrottledError),
    (451, "UnavailableForLegalReasons", AccessDeniedError),
    (500, "InternalError", ServerError),
    (501, "NotImplemented", ServerError),
    (503, "SlowDown", ThrottledError),
    (503, "ServiceUnavailable", ServerError),
    (418, "SomethingNew", InvalidRequestError),
]


def refuse(status: int, body: str | bytes = b"", path: str = "/doc_jobs", **headers: str) -> CIServiceError:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    data = body.encode() if isinstance(body, str) else body
    return refusal(status, names, data, asked="GET http://x/", path=path, now=NOW)


@pytest.mark.parametrize(("status", "code", "cls"), CLASSES)
def test_codes_and_statuses_have_their_errors(status: int, code: str, cls: type[CIServiceError]) -> None:
    error = refuse(status, f"<Error><Code>{code}</Code><Message>m</Message></Error>")
    assert type(error) is cls
    assert (error.status, error.code, error.message) == (status, code, "m")


def test_all_that_is_said_is_kept() -> None:
    body = (
        '<?xml version="1.0" encoding="UTF-8" ?><Error><Code>InvalidArgument</Code><Message>m</Message>'
        "<Resource>/doc_jobs</Resource><RequestId>NWRl</RequestId><TraceId>t1</TraceId></Error>"
    )
    error = refuse(400, body)
    assert (error.resource, error.request_id) == ("/doc_jobs", "NWRl")


def test_without_a_resource_or_message_the_code_still_counts() -> None:
    error = refuse(
        400, "<Error><Code>InvalidArgument</Code><Message></Message></Error>", x_ci_request_id="QQ=="
    )
    assert (error.code, error.message, error.request_id) == ("InvalidArgument", "", "QQ==")
    assert "400 InvalidArgument (request id QQ==)" in str(error)


def test_a_json_error_is_read() -> None:
    error = refuse(400, '{"code":"InvalidArgument","message":"m","requestid":"r"}')
    assert (error.code, error.message, error.request_id) == ("InvalidArgument", "m", "r")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", ""),
        ("plain words", "plain words"),
        (
            "<html><head><style>p {}</style></head><body><h1>502</h1>\n<p>Bad  gateway</p></body></html>",
            "502 Bad gateway",
        ),
        ("<Error><Code>Intern", ""),
        ('{"code": ', ""),
        ("[1]", "[1]"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("x" * 500, "x" * 200),
    ],
)
def test_whatever_a_gateway_says_is_a_server_error(body: str | bytes, message: str) -> None:
    error = refuse(502, body)
    assert type(error) is ServerError
    assert (error.code, error.message) == ("BadGateway", message)
    assert not error.is_certain


def test_an_entity_in_an_error_is_not_resolved() -> None:
    body = '<?xml version="1.0"?><!DOCTYPE Error [<!ENTITY e SYSTEM "file:///etc/passwd">]><Error><Code>&e;</Code></Error>'
    error = refuse(400, body)
    assert "root:" not in str(error)
    assert error.code == "BadRequest"


@pytest.mark.parametrize(
    ("status", "path", "code"),
    [
        (404, "/a", "NoSuchKey"),
        (404, "/", "NoSuchBucket"),
        (403, "/a", "AccessDenied"),
        (301, "/", "PermanentRedirect"),
        (429, "/", "SlowDown"),
        (412, "/a", "PreconditionFailed"),
        (599, "/a", "Status599"),
    ],
)
def test_an_answer_without_a_body_gets_its_code_from_the_status(status: int, path: str, code: str) -> None:
    assert refuse(status, path=path).code == code


def test_an_unexplained_403_with_another_time_is_a_skewed_clock() -> None:
    assert type(refuse(403, Date=formatdate(NOW + 1000, usegmt=True))) is ClockSkewError
    assert type(refuse(403, Date=formatdate(NOW + 100, usegmt=True))) is AccessDeniedError


def test_a_403_without_a_reason_lists_the_possible_ones() -> None:
    assert "key may be unknown, its secret wrong" in str(refuse(403, path="/a"))


def test_only_a_503_that_asks_for_less_is_a_certain_refusal() -> None:
    assert not refuse(503, "<Error><Code>ServiceUnavailable</Code></Error>").is_certain
    assert refuse(503, "<Error><Code>SlowDown</Code></Error>").is_certain
    assert not refuse(503, "<html>no</html>").is_certain
    assert not refuse(503).is_certain
    assert not refuse(500, "<Error><Code>InternalError</Code></Error>").is_certain


@pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 408, 429, 499])
def test_only_the_services_own_words_make_a_refusal_certain(status: int) -> None:
    """Other errors may come from a proxy that has already passed the request on to the service."""
    assert not refuse(status).is_certain
    assert not refuse(status, "<html>no</html>").is_certain
    assert not refuse(status, '{"code": "TooMany"}').is_certain
    assert refuse(status, x_ci_request_id="NWRl").is_certain
    assert refuse(status, '{"code": 7, "request_id": "NWRl"}').is_certain
    assert refuse(status, "<Error><Code>Whatever</Code></Error>").is_certain


BODIES = [
    "<Response><Error><Code>QueueSaturated</Code><Message>full & busy</Message></Error></Response>",
    "<Error><Code>QueueSaturated</Code><Message>full &amp; busy</Message></Error>",
    "<Error><Code> QueueSaturated\n</Code><Message>full &amp; busy</Message></Error>",
    "\ufeff<?xml version='1.0'?><Error><Code>QueueSaturated</Code><Message>full &amp; busy</Message></Error>",
    gzip.compress(b"<Error><Code>QueueSaturated</Code><Message>full &amp; busy</Message></Error>", mtime=0),
    "<Error><Code>QueueSaturated</Code><Message>full & busy</Message><RequestId>q</RequestId>",
    '{"code": "QueueSaturated", "message": "full & busy"}',
    '{"Response": {"Error": {"Code": "QueueSaturated", "Message": "full & busy"}, "RequestId": "q"}}',
]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("status", [200, 403])
def test_an_error_is_found_however_it_is_written(
    status: int, body: str | bytes, ci: CIClient, wire: Any, reply: Any
) -> None:
    wire.will(reply(body, status))
    for call in (ci.list_doc_queues, lambda: ci.cancel_doc_job("d1"), lambda: ci.put_object("a", b"abc")):
        with pytest.raises(ThrottledError) as caught:
            call()
        assert (caught.value.code, caught.value.message) == ("QueueSaturated", "full & busy")


def test_the_number_of_an_error_is_kept() -> None:
    error = refuse(400, '{"code": 40013, "message": "m", "request_id": "q"}')
    assert (error.code, error.message, error.request_id) == ("40013", "m", "q")


def test_the_words_of_a_chinese_proxy_are_read() -> None:
    assert refuse(502, "网关超时".encode("gbk")).message == "网关超时"
    error = refuse(400, "<Error><Code>A</Code><Message>网关超时</Message></Error>".encode("gbk"))
    assert (error.code, error.message) == ("A", "网关超时")


@pytest.mark.parametrize("piece", ["<", "<script", '{"a":', "[", "<Error>", "<Code>", "&"])
def test_a_body_made_to_be_slow_is_not(piece: str) -> None:
    """The bodies have millions of characters: a parser with quadratic run time would need hours."""
    assert type(refuse(500, piece * 4_000_000)) is ServerError


@pytest.mark.parametrize("value", ["²", "-1", "1e9", "9" * 5000, "Tue, 99 Nov 2023"])
def test_a_retry_after_that_is_none(value: str) -> None:
    assert refuse(503, Retry_After=value).retry_after is None


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        ("DocBucketUnBinded", AccessDeniedError),
        ("PicBucketUnBinded", AccessDeniedError),
        ("AIBucketUnBinded", AccessDeniedError),
        ("WriteTargetBucketDenied", AccessDeniedError),
        ("NoSuchQueue", NotFoundError),
    ],
)
def test_what_concerns_the_bucket_is_said_with_advice(code: str, cls: type[CIServiceError]) -> None:
    error = refuse(400, f"<Error><Code>{code}</Code></Error>")
    assert type(error) is cls
    assert code in errors.ADVICE


def test_an_unbound_bucket_is_known_by_its_message_too() -> None:
    message = "doc bucket unbinded, bucket's host is unavailable"
    error = refuse(400, f"<Error><Code>InvalidArgument</Code><Message>{message}</Message></Error>")
    assert type(error) is AccessDeniedError


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), (formatdate(NOW + 9, usegmt=True), 9.0), ("soon", None), ("", None)]
)
def test_retry_after_is_read_in_both_forms(value: str, seconds: float | None) -> None:
    assert refuse(503, Retry_After=value).retry_after == seconds


def test_head_tells_a_missing_object_from_a_missing_bucket(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(status=404, x_ci_request_id="", x_cos_request_id="Y29z"))
    with pytest.raises(NotFoundError, match="NoSuchKey") as caught:
        ci.head_object("a")
    assert caught.value.request_id == "Y29z"
    with pytest.raises(NotFoundError, match="NoSuchBucket"):
        ci.head_bucket()


def test_a_refusal_that_is_cut_off_still_is_one(connect: Any, wire: Any, reply: Any) -> None:
    wire.will(reply("<Error><Code>AccessDenied</Code></Error>", 403, cut=20))
    with pytest.raises(AccessDeniedError):
        connect(retry=RetryPolicy(max_attempts=1)).head_bucket()
    with pytest.raises(AccessDeniedError):
        connect(retry=RetryPolicy(max_attempts=1)).read_object("a")
