"""Wrong requests are refused, and no job is created for them."""

from __future__ import annotations

from typing import Any

import pytest

REFUSED = {
    "empty body": ("", "MissingContent"),
    "no XML": ("<Request", "InvalidContent"),
    "other root": ("<Response/>", "InvalidContent"),
    "external entity": (
        '<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]><Request>&e;</Request>',
        "InvalidContent",
    ),
    "no tag": ("<Request/>", "InvalidArgument"),
    "other tag": ("<Request><Tag>PicProcess</Tag></Request>", "InvalidArgument"),
    "no operation": ("<Request><Tag>DocProcess</Tag></Request>", "InvalidArgument"),
}


CHANGES = {
    "no input": ("<Input><Object>a.docx</Object></Input>", "", "InvalidArgument"),
    "empty input": ("<Object>a.docx</Object>", "<Object/>", "InvalidArgument"),
    "input by address": (
        "<Object>a.docx</Object></Input>",
        "<Url>http://x/y</Url></Input>",
        "NotImplemented",
    ),
    "no DocProcess": ("<DocProcess><TgtType>png</TgtType></DocProcess>", "", "InvalidArgument"),
    "no output object": ("<Object>p${Number}</Object>", "", "InvalidArgument"),
    "no output region": ("<Region>ap-guangzhou</Region>", "", "InvalidArgument"),
    "unknown output bucket": ("<Bucket>examplebucket", "<Bucket>otherbucket", "NoSuchBucket"),
    "page without a number": ("p${Number}", "p", "InvalidArgument"),
    "sheets without SheetID": ("<Object>a.docx", "<Object>a.xlsx", "InvalidArgument"),
    "unknown parameter": ("<TgtType>", "<Tgttype>x</Tgttype><TgtType>", "InvalidArgument"),
    "unknown node": ("<Input>", "<Inputs/><Input>", "InvalidArgument"),
    "page that is no number": ("<TgtType>", "<StartPage>one</StartPage><TgtType>", "InvalidArgument"),
    "level above 2": ("</Operation>", "<JobLevel>3</JobLevel></Operation>", "InvalidArgument"),
    "user data outside ASCII": ("</Operation>", "<UserData>é</UserData></Operation>", "InvalidArgument"),
    "user data too long": (
        "</Operation>",
        f"<UserData>{'x' * 1025}</UserData></Operation>",
        "InvalidArgument",
    ),
    "unknown queue": ("</Request>", "<QueueId>p1</QueueId></Request>", "QueueNotFound"),
    "template": ("</Operation>", "<TemplateId>t1</TemplateId></Operation>", "NotImplemented"),
    "two operations": ("</Request>", "<Operation/></Request>", "NotImplemented"),
}


@pytest.mark.parametrize("case", [*REFUSED, *CHANGES])
def test_a_request_that_is_not_right_is_refused_and_makes_no_job(call: Any, case: str) -> None:
    if case in REFUSED:
        body, code = REFUSED[case]
    else:
        before, after, code = CHANGES[case]
        good = call.doc_job("a.docx", "p${Number}", "<TgtType>png</TgtType>")
        assert before in good
        body = good.replace(before, after, 1)
    reply = call("POST", "ci", "/doc_jobs", body=body.encode())
    status = {"NotImplemented": 501, "NoSuchBucket": 404}.get(code, 400)
    assert (reply.code, reply.status) == (code, status), reply.body
    assert reply.text("Message")
    assert reply.xml.find("Resource") is None
    assert reply.text("RequestId") == reply.headers["x-ci-request-id"]
    assert call("GET", "ci", "/doc_jobs", [("tag", "DocProcess")]).texts("JobsDetail") == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "InvalidUrl"),
        ("GET", "/", 404, "InvalidUrl"),
        ("DELETE", "/doc_jobs", 405, "MethodNotAllowed"),
        ("POST", "/doc_jobs/d1", 405, "MethodNotAllowed"),
        ("POST", "/inventorytriggerjob", 501, "NotImplemented"),
        ("GET", "/inventorytriggerjob", 501, "NotImplemented"),
        ("POST", "/ai_bucket", 501, "NotImplemented"),
    ],
)
def test_what_is_no_operation_and_what_is_left_out_are_told_apart(
    call: Any, method: str, path: str, status: int, code: str
) -> None:
    reply = call(method, "ci", path)
    assert (reply.status, reply.code) == (status, code)


def test_jobs_need_a_bucket_that_exists(call: Any, caller: Any) -> None:
    other = caller(call.server, bucket="nobody-1250000000")
    assert other("POST", "ci", "/doc_jobs", body=call.doc_job("a.docx")).code == "NoSuchBucket"
    assert call("GET", "ci", "/doc_jobs", host="ci.ap-guangzhou.myqcloud.com").code == "InvalidHost"
