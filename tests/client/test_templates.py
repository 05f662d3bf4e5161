"""Templates: creating, changing, deleting and listing them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_ci.client import CIClient, CIResponseError, InvalidRequestError, PicProcess, ServerError

RULE = PicProcess("imageMogr2/rotate/90", is_pic_info=True)
INSIDE = (
    "<Tag>{tag}</Tag><Name>t-1</Name><TemplateId>{id}</TemplateId>"
    "<UpdateTime>2023-11-15T07:13:20+0800</UpdateTime><CreateTime>2023-11-15T06:13:20+0800</CreateTime>"
    "<BucketId>b-1</BucketId><Category>Custom</Category><PicProcess><IsPicInfo>true</IsPicInfo>"
    "<ProcessRule>{rule}</ProcessRule></PicProcess>"
)


def inside(template_id: str = "t1", tag: str = "PicProcess", rule: str = "imageMogr2/rotate/90") -> str:
    return INSIDE.format(tag=tag, id=template_id, rule=rule)


def one(reply: Any) -> Any:
    return reply(f"<Response><RequestId>NWRl</RequestId><Template>{inside()}</Template></Response>")


BODY = (
    "<Request><Tag>PicProcess</Tag><Name>t-1</Name><PicProcess><IsPicInfo>true</IsPicInfo>"
    "<ProcessRule>imageMogr2/rotate/90</ProcessRule></PicProcess></Request>"
)


def test_a_template_is_made(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(one(reply))
    template = ci.create_template("t-1", RULE)
    assert (wire.last.method, wire.last.target, wire.last.body.decode()) == ("POST", "/template", BODY)
    assert wire.last.headers["content-type"] == "application/xml"
    assert (template.template_id, template.tag, template.name) == ("t1", "PicProcess", "t-1")
    assert (template.category, template.bucket, template.operation) == ("Custom", "b-1", RULE)
    china = timezone(timedelta(hours=8))
    assert template.created_at == datetime(2023, 11, 15, 6, 13, 20, tzinfo=china)
    assert template.updated_at == datetime(2023, 11, 15, 7, 13, 20, tzinfo=china)


def test_a_template_is_changed(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(one(reply))
    assert ci.update_template("t1", "t-1", RULE).template_id == "t1"
    assert (wire.last.method, wire.last.target, wire.last.body.decode()) == ("PUT", "/template/t1", BODY)


def test_a_template_is_deleted(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply("<Response><RequestId>NWRl</RequestId><TemplateId>t1</TemplateId></Response>"))
    ci.delete_template("t1")
    assert (wire.last.method, wire.last.target, wire.last.body) == ("DELETE", "/template/t1", b"")


def test_templates_are_listed_over_all_pages(ci: CIClient, wire: Any, reply: Any) -> None:
    """Templates of other kinds, or with rules that we would not send, do not break the listing."""
    long = "|".join(["imageMogr2/rotate/90"] * 11)
    nodes = [inside("t1"), inside("t2", "Transcode").split("<PicProcess>")[0], inside("t3", rule=long)]
    first, second, third = (f"<TemplateList>{node}</TemplateList>" for node in nodes)
    count = "<TotalCount>3</TotalCount>"
    wire.will(
        reply(f"<Response>{count}{first}{second}</Response>"), reply(f"<Response>{count}{third}</Response>")
    )
    found = ci.list_templates()
    assert [(each.template_id, each.tag) for each in found] == [
        ("t1", "PicProcess"),
        ("t2", "Transcode"),
        ("t3", "PicProcess"),
    ]
    assert [each.operation for each in found] == [RULE, None, None]
    assert found[2].raw["PicProcess"]["ProcessRule"] == long
    assert [each.target for each in wire.requests] == [
        "/template?pageNumber=1&pageSize=100",
        "/template?pageNumber=2&pageSize=100",
    ]


def test_every_filter_of_templates(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply("<Response><TotalCount>0</TotalCount><TemplateList/></Response>"))
    assert ci.list_templates(category="Official", template_ids=["t1", "t2"], name_prefix="表") == []
    assert wire.last.target == (
        "/template?category=Official&ids=t1%2Ct2&name=%E8%A1%A8&pageNumber=1&pageSize=100"
    )


REFUSED: list[tuple[Callable[[CIClient], Any], str]] = [
    (lambda ci: ci.create_template("", RULE), "name must be 1 to 64 letters"),
    (lambda ci: ci.create_template("a b", RULE), "name must be 1 to 64 letters.* not 'a b'"),
    (lambda ci: ci.create_template("x" * 65, RULE), "name must be 1 to 64 letters"),
    (lambda ci: ci.update_template("t/1", "n", RULE), "template_id must be an id"),
    (lambda ci: ci.delete_template(""), "template_id must be an id"),
    (lambda ci: ci.list_templates(category="Mine"), "category must be one of Custom, Official"),
    (lambda ci: ci.list_templates(template_ids=["t 1"]), "template_id must be an id"),
]


@pytest.mark.parametrize(("call", "complaint"), REFUSED)
def test_templates_refuse_what_the_service_would(
    call: Callable[[CIClient], Any], complaint: str, ci: CIClient, wire: Any
) -> None:
    with pytest.raises(ValueError, match=complaint):
        call(ci)
    assert not wire.requests


@pytest.mark.parametrize("name", ["缩略图_1", "a*b-c", "x" * 64])
def test_names_of_all_allowed_kinds(name: str, ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(one(reply))
    ci.create_template(name, RULE)
    assert f"<Name>{name}</Name>" in wire.last.body.decode()


def test_a_name_that_is_taken(ci: CIClient, wire: Any, error_reply: Any) -> None:
    wire.will(error_reply(400, "TemplateNameDuplicate"))
    with pytest.raises(InvalidRequestError, match="Take another name"):
        ci.create_template("t-1", RULE)


def test_an_answer_without_the_template(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply("<Response/>"))
    with pytest.raises(CIResponseError, match="lacks <Template>"):
        ci.create_template("t-1", RULE)


def test_making_one_is_not_repeated_where_it_may_have_happened(
    ci: CIClient, wire: Any, error_reply: Any, reply: Any
) -> None:
    """If the lost request did create the template, a second attempt would find the name taken."""
    wire.will(error_reply(500, "InternalError"), one(reply))
    with pytest.raises(ServerError):
        ci.create_template("t-1", RULE)
    assert len(wire.requests) == 1
    wire.will(error_reply(500, "InternalError"), one(reply))
    assert ci.update_template("t1", "t-1", RULE).template_id == "t1"
