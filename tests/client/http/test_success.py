"""A response is a success only if it contains what the operation must return; its status is not enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.client import (
    AccessDeniedError,
    CIClient,
    CIError,
    CIResponseError,
    DocProcess,
    FileHashCode,
    PicProcess,
    QueueState,
    ServerError,
    SubmissionUnknownError,
    ThrottledError,
)

RULE = PicProcess("imageMogr2/rotate/90")
PATH = Path("never-written")

READS: dict[str, Callable[[CIClient], object]] = {
    "get job": lambda ci: ci.get_doc_job("d1"),
    "get jobs": lambda ci: ci.get_pic_jobs(["c1"]),
    "list jobs": lambda ci: list(ci.list_doc_jobs()),
    "list any jobs": lambda ci: list(ci.list_jobs("Snapshot")),
    "get any job": lambda ci: ci.get_job("f1"),
    "list objects": lambda ci: list(ci.list_objects()),
    "list queues": lambda ci: ci.list_pic_queues(),
    "list buckets": lambda ci: ci.list_doc_buckets(),
    "list templates": lambda ci: ci.list_templates(),
    "read object": lambda ci: ci.read_object("a"),
    "get object": lambda ci: ci.get_object("a", PATH),
    "read with info": lambda ci: ci.read_object_with_info("a"),
    "read part": lambda ci: ci.read_object_part("a", 0, 9),
}
WRITES: dict[str, Callable[[CIClient], object]] = {
    "put": lambda ci: ci.put_object("a", b"abc"),
    "put file": lambda ci: ci.put_object("a", Path(__file__)),
    "delete": lambda ci: ci.delete_object("a"),
    "cancel document": lambda ci: ci.cancel_doc_job("d1"),
    "cancel any job": lambda ci: ci.cancel_job("f1"),
    "cancel picture": lambda ci: ci.cancel_pic_job("c1"),
    "pause": lambda ci: ci.pause_doc_queue("p1"),
    "update template": lambda ci: ci.update_template("t1", "a", RULE),
    "delete template": lambda ci: ci.delete_template("t1"),
    "close bucket": lambda ci: ci.close_pic_bucket(),
}
POSTS: dict[str, Callable[[CIClient], object]] = {
    "document": lambda ci: ci.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess()),
    "picture": lambda ci: ci.submit_pic_job("in/a.docx", "out/a.pdf", RULE),
    "hash": lambda ci: ci.submit_job("in/a.docx", None, FileHashCode()),
    "template": lambda ci: ci.create_template("a", RULE),
    "open": lambda ci: ci.open_doc_bucket(),
}
REPEATED = READS | WRITES
ALL = REPEATED | POSTS
XML = {"Content_Type": "application/xml"}
PAGE = "<!DOCTYPE html><html><body>Please log in, <code>guest</code></body></html>"


@pytest.mark.parametrize("call", ALL)
def test_an_error_inside_a_success_is_that_error(
    call: str, ci: CIClient, wire: Any, error_reply: Any
) -> None:
    wire.will(error_reply(200, "AccessDenied", "no", **XML))
    with pytest.raises(AccessDeniedError, match=r"200 AccessDenied: no \(request id NWRl\)"):
        ALL[call](ci)
    assert len(wire.requests) == 1


@pytest.mark.parametrize("code", ["SlowDown", "InternalError"])
@pytest.mark.parametrize("call", REPEATED)
def test_a_transient_error_inside_a_success_is_repeated(
    code: str, call: str, ci: CIClient, wire: Any, error_reply: Any
) -> None:
    wire.will(error_reply(200, code, **XML))
    with pytest.raises((ThrottledError, ServerError), match=code):
        REPEATED[call](ci)
    assert len(wire.requests) == 4


def test_a_submission_is_repeated_only_if_the_error_inside_says_that_nothing_was_done(
    ci: CIClient, wire: Any, error_reply: Any, job_reply: Any
) -> None:
    wire.will(error_reply(200, "SlowDown"), job_reply())
    POSTS["document"](ci)
    assert len(wire.requests) == 2
    wire.will(error_reply(200, "InternalError"))
    with pytest.raises(SubmissionUnknownError):
        POSTS["document"](ci)


@pytest.mark.parametrize("call", ALL)
def test_a_page_of_html_is_no_success(call: str, ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(PAGE, x_ci_request_id="", Content_Type="text/html; charset=utf-8"))
    with pytest.raises(CIError, match="HTML"):
        ALL[call](ci)
    assert len(wire.requests) == (4 if call in REPEATED else 1)
    assert not PATH.exists()


@pytest.mark.parametrize("call", ALL)
@pytest.mark.parametrize("status", [300, 302, 304, 100 + 499])
def test_a_status_that_is_none_of_the_200s_is_no_success(
    status: int, call: str, ci: CIClient, wire: Any, raw_reply: Any
) -> None:
    head = f"HTTP/1.1 {status} Odd\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:1/\r\n\r\n"
    wire.will(raw_reply(head.encode()))
    with pytest.raises(CIError):
        ALL[call](ci)
    assert len(wire.requests) == 1


@pytest.mark.parametrize("call", [*POSTS, "get job", "list jobs", "list objects", "list queues", "pause"])
@pytest.mark.parametrize("body", ["", "{}", "<Other/>", "ok"])
def test_an_answer_without_its_root_is_no_success(
    body: str, call: str, ci: CIClient, wire: Any, reply: Any
) -> None:
    wire.will(reply(body))
    with pytest.raises(CIError):
        ALL[call](ci)


def test_an_object_may_be_html_or_an_error_of_somebody(ci: CIClient, wire: Any, reply: Any) -> None:
    for body, kind in ((PAGE, "text/html"), ("<Error><Code>A</Code></Error>", "application/xml")):
        wire.will(reply(body, ETag='"9"', Content_Type=kind))
        assert ci.read_object("a") == body.encode()
    wire.will(reply("<a/>", Content_Type="application/xml"))
    assert ci.read_object("a") == b"<a/>"


def test_a_part_of_an_object_is_no_object(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply("abc", 206), reply("abcd"))
    assert ci.read_object("a") == b"abcd"


def test_a_listing_in_gzip_is_read_and_an_object_in_gzip_is_left_alone(
    ci: CIClient, wire: Any, raw_reply: Any, reply: Any
) -> None:
    import gzip

    packed = gzip.compress(b"<Response><NextToken/></Response>")
    wire.will(reply(packed, Content_Encoding="gzip"))
    assert list(ci.list_doc_jobs()) == []
    wire.will(reply(packed, Content_Encoding="gzip", ETag='"9"'))
    assert ci.read_object("a") == packed
    bomb = gzip.compress(b" " * (64 * 1024 * 1024))
    wire.will(reply(bomb, Content_Encoding="gzip"))
    with pytest.raises(CIResponseError, match="more than 33554432 bytes"):
        ci.list_doc_jobs_page()


@pytest.mark.parametrize("path", ["list_doc_queues", "list_templates", "list_pic_buckets"])
def test_pages_end_where_they_bring_nothing_new(path: str, ci: CIClient, wire: Any, reply: Any) -> None:
    """The server ignores the page number: it sends the same page again, with a larger total count."""
    items = {
        "list_doc_queues": "<QueueList><QueueId>p{}</QueueId><State>Active</State></QueueList>",
        "list_templates": "<TemplateList><TemplateId>t{}</TemplateId><Tag>Watermark</Tag></TemplateList>",
        "list_pic_buckets": "<PicBucketList><BucketId>b{}</BucketId></PicBucketList>",
    }
    page = "".join(items[path].format(number) for number in range(3))
    wire.will(reply(f"<Response><TotalCount>1000</TotalCount>{page}</Response>"))
    assert len(getattr(ci, path)()) == 3
    assert len(wire.requests) == 2


@pytest.mark.parametrize("value", ["Tue, 14 Nov 2023 22:13:20", "Tue, 14 Nov 2023 22:13:20 -0000"])
def test_a_time_without_a_zone_is_utc(value: str, ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply("abc", Last_Modified=value))
    assert ci.head_object("a").last_modified.isoformat() == "2023-11-14T22:13:20+00:00"


@pytest.mark.parametrize("value", ["²", "-1", "3, 4", "1e3"])
def test_an_odd_length_is_an_error_of_the_client(value: str, ci: CIClient, wire: Any, raw_reply: Any) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {value}\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n\r\n"
    wire.will(raw_reply(head.encode("latin-1") + b"abc", close=True))
    for call in (lambda: ci.read_object("a"), lambda: ci.head_object("a"), lambda: ci.get_object("a", PATH)):
        with pytest.raises(CIError):
            call()


@pytest.mark.parametrize("call", ALL)
def test_all_that_says_something_is_signed(call: str, connect: Any, wire: Any, error_reply: Any) -> None:
    """A bucket in strict signature mode requires that every header with a meaning is signed."""
    client = connect(token="tok/en+1==")
    wire.will(error_reply(400, "InvalidArgument"))
    with pytest.raises(CIError):
        ALL[call](client)
    for request in wire.requests:
        wanted = ("host", "content-type", "content-length", "content-md5", "date", "range")
        says = {name for name in request.headers if name in wanted or name.startswith(("x-cos-", "x-ci-"))}
        assert says == set(request.signed["q-header-list"].split(";"))


def test_a_change_of_a_queue_that_is_neither_active_nor_paused_keeps_its_state(
    ci: CIClient, wire: Any, reply: Any
) -> None:
    queue = "<QueueId>p1</QueueId><Name>a</Name><State>Deleted</State>"
    wire.will(
        reply(f"<Response><QueueList>{queue}</QueueList></Response>"),
        reply(f"<Response><Queue>{queue}</Queue></Response>"),
    )
    assert ci.update_doc_queue("p1", name="b").state is None
    assert b"<State>Deleted</State>" in wire.last.body
    assert QueueState.ACTIVE.value == "Active"
