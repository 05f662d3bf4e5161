"""Templates: creating, changing, listing and deleting them, and using them in picture jobs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.local import LocalCI

RULE = "imageMogr2/rotate/90"


def template(name: str = "t-1", rule: str = RULE, tag: str = "PicProcess") -> str:
    return (
        f"<Request><Tag>{tag}</Tag><Name>{name}</Name>"
        f"<PicProcess><ProcessRule>{rule}</ProcessRule></PicProcess></Request>"
    )


def make(call: Any, name: str = "t-1", rule: str = RULE) -> str:
    reply = call("POST", "ci", "/template", body=template(name, rule))
    assert reply.status == 200, reply.body
    return str(reply.text("Template/TemplateId"))


def with_template(body: str, template_id: str) -> str:
    """The job's body with a template id beside its own parameters."""
    return body.replace("<PicProcess>", f"<TemplateId>{template_id}</TemplateId><PicProcess>")


def listed(call: Any, *params: tuple[str, str]) -> list[str]:
    return list(call("GET", "ci", "/template", list(params)).texts("TemplateList/Name"))


def test_a_template_is_shown_as_it_was_made(call: Any) -> None:
    reply = call("POST", "ci", "/template", body=template("旋转_a-1*"))
    made = reply.xml.find("Template")
    assert re.fullmatch("t[0-9a-f]{32}", made.findtext("TemplateId"))
    assert {node.tag: node.text for node in made if node.tag in ("Tag", "Name", "BucketId", "Category")} == {
        "Tag": "PicProcess",
        "Name": "旋转_a-1*",
        "BucketId": call.bucket,
        "Category": "Custom",
    }
    assert {node.tag: node.text for node in made.find("PicProcess")} == {
        "IsPicInfo": "false",
        "ProcessRule": RULE,
    }
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+0800", made.findtext("CreateTime"))
    assert reply.text("RequestId") == reply.headers["x-ci-request-id"]


def test_a_name_is_taken_once_in_a_bucket(call: Any, caller: Any, root: Path) -> None:
    first, second = make(call, "one"), make(call, "two")
    for reply in (
        call("POST", "ci", "/template", body=template("one")),
        call("PUT", "ci", f"/template/{second}", body=template("one")),
    ):
        assert (reply.status, reply.code) == (400, "TemplateNameDuplicate")
    assert call("PUT", "ci", f"/template/{first}", body=template("one", "imageMogr2/strip")).status == 200
    (root / "other-1250000000").mkdir()
    other = make(caller(call.server, bucket="other-1250000000"), "one")
    assert call("DELETE", "ci", f"/template/{other}").code == "TemplateNotFound"
    assert sorted(listed(call)) == ["one", "two"]


def test_templates_are_listed_by_category_id_and_beginning_of_the_name_page_by_page(call: Any) -> None:
    ids = [make(call, name) for name in ("ab", "abc", "b")]
    assert listed(call) == ["b", "abc", "ab"]
    assert listed(call, ("name", "ab")) == ["abc", "ab"]
    assert listed(call, ("ids", f"{ids[0]},{ids[2]},t0")) == ["b", "ab"]
    assert listed(call, ("category", "Official")) == []
    assert listed(call, ("tag", "Snapshot")) == []
    page = call("GET", "ci", "/template", [("pageNumber", "2"), ("pageSize", "2")])
    assert page.texts("TemplateList/Name") == ["ab"]
    assert [page.text(name) for name in ("TotalCount", "PageNumber", "PageSize")] == ["3", "2", "2"]
    assert call("GET", "ci", "/template", [("category", "Mine")]).code == "InvalidArgument"


def test_a_template_outlasts_a_restart_and_is_gone_once_deleted(
    serve: Callable[..., LocalCI], caller: Any
) -> None:
    server = serve()
    template_id = make(caller(server))
    server.stop()
    call = caller(serve())
    assert listed(call) == ["t-1"]
    deleted = call("DELETE", "ci", f"/template/{template_id}")
    assert (deleted.status, deleted.text("TemplateId"), listed(call)) == (200, template_id, [])
    for reply in (
        call("DELETE", "ci", f"/template/{template_id}"),
        call("PUT", "ci", f"/template/{template_id}", body=template()),
        call("POST", "ci", "/pic_jobs", body=with_template(call.pic_job("a", "b"), template_id)),
    ):
        assert (reply.status, reply.code) == (400, "TemplateNotFound")
    assert make(call, "t-1") != template_id


@pytest.mark.parametrize("path", ["/pic_jobs", "/jobs"])
def test_the_template_of_a_job_wins_over_its_parameters(
    serve: Callable[..., LocalCI], caller: Any, gate: Any, path: str
) -> None:
    call = caller(serve(convert=gate))
    gate.open.set()
    call.put("a.jpg")
    template_id = make(call)
    body = with_template(call.pic_job("a.jpg", "out/a.jpg", "imageMogr2/strip"), template_id)
    done = call.finished(call.submit(body, path), path)
    operation = done.xml.find("JobsDetail/Operation")
    assert done.text("JobsDetail/State") == "Success"
    assert [node.tag for node in operation] == [
        "JobLevel",
        "Output",
        "PicProcessResult",
        "TemplateId",
        "TemplateName",
    ]
    assert (operation.findtext("TemplateId"), operation.findtext("TemplateName")) == (template_id, "t-1")
    assert operation.find("PicProcessResult/OriginalInfo") is None
    assert gate.began == [RULE]


def test_a_job_keeps_the_template_as_it_was_when_it_was_submitted(
    serve: Callable[..., LocalCI], caller: Any, gate: Any, until: Callable[..., None]
) -> None:
    call = caller(serve(convert=gate, workers=1))
    call.put("a.jpg")
    template_id = make(call)
    body = re.sub("<PicProcess>.*</PicProcess>", "", with_template(call.pic_job("a.jpg", "o"), template_id))
    jobs = [call.submit(body, "/jobs") for _ in range(2)]
    until(lambda: len(gate.began) == 1)
    changed = call("PUT", "ci", f"/template/{template_id}", body=template("new", "imageMogr2/strip"))
    assert changed.text("Template/Name") == "new"
    jobs.append(call.submit(body, "/jobs"))
    call("DELETE", "ci", f"/template/{template_id}")
    gate.open.set()
    names = [call.finished(job_id, "/jobs").text("JobsDetail/Operation/TemplateName") for job_id in jobs]
    assert names == ["t-1", "t-1", "new"]
    assert gate.began == [RULE, RULE, "imageMogr2/strip"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "MissingContent"),
        ("<Request", "InvalidContent"),
        ("<Request/>", "InvalidArgument"),
        (template(tag="Snapshot"), "NotImplemented"),
        (template(name=""), "InvalidArgument"),
        (template(name="x" * 65), "InvalidArgument"),
        (template(name="a b"), "InvalidArgument"),
        (template(rule=""), "InvalidArgument"),
        ("<Request><Tag>PicProcess</Tag><Name>a</Name></Request>", "InvalidArgument"),
        (template().replace("</Request>", "<Namen/></Request>"), "InvalidArgument"),
        (template().replace("<ProcessRule>", "<IsPicInfo>yes</IsPicInfo><ProcessRule>"), "InvalidArgument"),
    ],
)
def test_a_template_that_is_not_right_is_refused(call: Any, body: str, code: str) -> None:
    assert call("POST", "ci", "/template", body=body).code == code
    assert listed(call) == []


def test_a_job_needs_a_template_or_parameters(call: Any) -> None:
    body = re.sub("<PicProcess>.*</PicProcess>", "", call.pic_job("a.jpg", "o"))
    reply = call("POST", "ci", "/jobs", body=body)
    assert (reply.code, reply.text("Message")) == (
        "InvalidArgument",
        "Request.Operation.PicProcess is missing",
    )
    assert call("POST", "ci", "/template/t1", body=template()).status == 405
