"""Picture jobs in their two forms, templates instead of rules, callbacks of a job, filters of listings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.client import Callback, CIClient, DocProcess, MqConfig, PicProcess, PicTemplate
from airflow_provider_ci.client.jobs.options import JobOptions

BUCKET = "examplebucket-1250000000"
OUTPUT = f"<Output><Region>ap-guangzhou</Region><Bucket>{BUCKET}</Bucket><Object>out/a.png</Object></Output>"
RULE = PicProcess("imageMogr2/thumbnail/!50p>|imageMogr2/format/png", is_pic_info=True)
FORMS = {"pic_jobs": "/pic_jobs", "jobs": "/jobs"}


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_job_with_all_it_can_have(form: Any, ci: CIClient, wire: Any, job_reply: Any) -> None:
    wire.will(job_reply(tag="PicProcess", input_key="in/a.jpg", output_key="out/a.png"))
    job = ci.submit_pic_job(
        "in/a.jpg",
        "out/a.png",
        RULE,
        queue_id="p1",
        user_data="u1",
        job_level=2,
        callback=Callback("http://cb.example.com/x?a=1&b=2", format="JSON", type="Url"),
        extra={"QueueType": "PicProcess"},
        form=form,
    )
    assert job.user_data == "u1"
    assert (wire.last.method, wire.last.target) == ("POST", FORMS[form])
    assert wire.last.headers["content-type"] == "application/xml"
    assert wire.last.body.decode() == (
        "<Request><Tag>PicProcess</Tag><QueueId>p1</QueueId><Input><Object>in/a.jpg</Object></Input><Operation>"
        "<PicProcess><IsPicInfo>true</IsPicInfo>"
        "<ProcessRule>imageMogr2/thumbnail/!50p&gt;|imageMogr2/format/png</ProcessRule></PicProcess>"
        f"{OUTPUT}<UserData>u1</UserData><JobLevel>2</JobLevel></Operation>"
        "<CallBack>http://cb.example.com/x?a=1&amp;b=2</CallBack><CallBackFormat>JSON</CallBackFormat>"
        "<CallBackType>Url</CallBackType><QueueType>PicProcess</QueueType></Request>"
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_template_takes_the_place_of_a_rule(form: Any, ci: CIClient, wire: Any, reply: Any) -> None:
    """The response names the template and has no rule."""
    wire.will(
        reply(
            "<Response><JobsDetail><Code>Success</Code><Message/><JobId>c1</JobId><State>Submitted</State>"
            "<CreationTime>2022-07-18T15:16:43+0800</CreationTime><EndTime>-</EndTime><StartTime>-</StartTime>"
            "<QueueId>p1</QueueId><Tag>PicProcess</Tag><Input><Object>in/a.jpg</Object></Input><Operation>"
            f"{OUTPUT}<TemplateId>t1</TemplateId><TemplateName>test</TemplateName><JobLevel>0</JobLevel>"
            "</Operation></JobsDetail></Response>"
        )
    )
    job = ci.submit_pic_job("in/a.jpg", "out/a.png", PicTemplate("t1"), form=form)
    assert wire.last.body.decode() == (
        "<Request><Tag>PicProcess</Tag><Input><Object>in/a.jpg</Object></Input>"
        f"<Operation><TemplateId>t1</TemplateId>{OUTPUT}</Operation></Request>"
    )
    assert (job.output_key, job.raw["Operation"]["TemplateName"]) == ("out/a.png", "test")


def test_a_template_has_an_id() -> None:
    with pytest.raises(ValueError, match=r"PicTemplate\.template_id must be an id"):
        PicTemplate("a/b")
    assert PicTemplate("{{ params.template }}").template_id.startswith("{{")


@pytest.mark.parametrize("form", FORMS)
def test_jobs_are_read_in_the_form_that_is_asked_for(
    form: Any, ci: CIClient, wire: Any, job_xml: Any, reply: Any
) -> None:
    two = job_xml(job_id="c1", tag="PicProcess") + job_xml(job_id="c2", tag="PicProcess")
    missing = "<NonExistJobIds>c3</NonExistJobIds><NonExistJobIds>c4</NonExistJobIds>"
    wire.will(reply(f"<Response>{two}{missing}</Response>"))
    assert ci.get_pic_job("c2", form=form).job_id == "c2"
    found = ci.get_pic_jobs(["c4", "c2", "c3", "c1"], form=form)
    assert [job.job_id for job in found] == ["c2", "c1"]
    assert [each.target for each in wire.requests] == [
        f"{FORMS[form]}/c2",
        f"{FORMS[form]}/c4%2Cc2%2Cc3%2Cc1",
    ]


@pytest.mark.parametrize("form", FORMS)
def test_every_filter_of_picture_jobs(form: Any, ci: CIClient, wire: Any, job_xml: Any, reply: Any) -> None:
    pages = [
        reply(f"<Response>{job_xml(job_id=each, tag='PicProcess')}{token}</Response>")
        for each, token in [("c1", "<NextToken>abc/+=</NextToken>"), ("c2", "")]
    ]
    wire.will(*pages)
    filters: dict[str, Any] = {
        "tag": "PicProcess",
        "input_key": "in/表 1.jpg",
        "workflow_id": "w1",
        "inventory_trigger_job_id": "b1",
        "queue_type": "PicProcess",
        "page_size": 2,
    }
    assert [job.job_id for job in ci.list_pic_jobs(**filters, form=form)] == ["c1", "c2"]
    asked = (
        f"{FORMS[form]}?tag=PicProcess&orderByTime=Desc&size=2&queueType=PicProcess"
        "&inputObject=in%2F%E8%A1%A8%201.jpg&workflowId=w1&inventoryTriggerJobId=b1"
    )
    assert [each.target for each in wire.requests] == [asked, f"{asked}&nextToken=abc%2F%2B%3D"]
    wire.will(pages[1])
    assert len(ci.list_pic_jobs_page(**filters, form=form, next_token="abc/+=").jobs) == 1
    assert wire.last.target == wire.requests[1].target


def test_document_jobs_of_another_tag(ci: CIClient, wire: Any, job_xml: Any, reply: Any) -> None:
    wire.will(reply(f"<Response>{job_xml(tag='DocWatermark')}</Response>"))
    assert [job.tag for job in ci.list_doc_jobs(tag="DocWatermark")] == ["DocWatermark"]
    assert ci.list_doc_jobs_page(tag="DocWatermark").jobs[0].result is None
    assert {each.target for each in wire.requests} == {"/doc_jobs?tag=DocWatermark&orderByTime=Desc&size=100"}


@pytest.mark.parametrize(
    "call",
    [
        lambda ci, form: ci.submit_pic_job("a", "b", RULE, form=form),
        lambda ci, form: ci.get_pic_job("c1", form=form),
        lambda ci, form: ci.get_pic_jobs(["c1"], form=form),
        lambda ci, form: ci.list_pic_jobs_page(form=form),
    ],
)
def test_an_unknown_form_is_refused(call: Callable[[CIClient, str], Any], ci: CIClient, wire: Any) -> None:
    with pytest.raises(ValueError, match="form must be one of pic_jobs, jobs, not '/jobs'"):
        call(ci, "/jobs")
    with pytest.raises(ValueError, match="queue_type must be one of Transcoding"):
        ci.list_pic_jobs_page(queue_type="Printing")
    assert not wire.requests


@pytest.mark.parametrize(
    "call",
    [
        lambda ci, wrong: ci.submit_doc_job("a", "b", DocProcess(), **wrong),
        lambda ci, wrong: ci.submit_pic_job("a", "b", RULE, **wrong),
        lambda ci, wrong: ci.list_doc_jobs(**wrong),
        lambda ci, wrong: ci.list_pic_jobs_page(**wrong),
        lambda ci, wrong: ci.list_doc_jobs(input_key="a"),
    ],
)
def test_an_unknown_argument_is_refused(call: Callable[..., Any], ci: CIClient, wire: Any) -> None:
    with pytest.raises(
        TypeError, match=r"unexpected keyword argument '(queue|input_key)'; there are .*queue_id"
    ):
        call(ci, {"queue": "p1"})
    assert not wire.requests


@pytest.mark.parametrize("submit", ["submit_doc_job", "submit_pic_job"])
def test_none_is_the_same_as_an_argument_that_is_left_out(
    submit: str, ci: CIClient, wire: Any, job_reply: Any
) -> None:
    operation = DocProcess() if submit == "submit_doc_job" else RULE
    wire.will(*[job_reply(input_key="a", output_key="b")] * 2)
    getattr(ci, submit)("a", "b", operation)
    getattr(ci, submit)("a", "b", operation, **dict.fromkeys(JobOptions.__annotations__))
    assert wire.requests[0].body == wire.requests[1].body


CALLBACKS = {
    "silent": (Callback("no"), "<CallBack>no</CallBack>"),
    "url": (Callback("https://cb.example.com/"), "<CallBack>https://cb.example.com/</CallBack>"),
    "xml": (
        Callback("http://cb.example.com/", format="XML"),
        "<CallBack>http://cb.example.com/</CallBack><CallBackFormat>XML</CallBackFormat>",
    ),
    "queue": (
        Callback(format="JSON", mq=MqConfig(region="bj", mode="Topic", name="ended")),
        "<CallBackFormat>JSON</CallBackFormat><CallBackType>TDMQ</CallBackType><CallBackMqConfig>"
        "<MqRegion>bj</MqRegion><MqMode>Topic</MqMode><MqName>ended</MqName></CallBackMqConfig>",
    ),
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_of_a_job(name: str, ci: CIClient, wire: Any, job_reply: Any) -> None:
    callback, expected = CALLBACKS[name]
    wire.will(job_reply())
    ci.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess(), callback=callback)
    ci.submit_pic_job("in/a.docx", "out/a.pdf", RULE, callback=callback)
    for request in wire.requests:
        assert request.body.decode().endswith(f"</Operation>{expected}</Request>")


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Callback(), "Callback needs a url, or mq"),
        (lambda: Callback("cb.example.com"), "must begin with http:// or https://, not 'cb.example.com'"),
        (lambda: Callback("http://x", format="YAML"), "format must be one of XML, JSON, not 'YAML'"),
        (lambda: Callback("http://x", type="Kafka"), "type must be one of Url, TDMQ"),
        (lambda: Callback("http://x", type="TDMQ"), "TDMQ needs mq"),
        (lambda: MqConfig(region="mars", name="n"), "region must be one of sh, bj, gz, cd, hk"),
        (lambda: MqConfig(region="sh", name="n", mode="Stack"), "mode must be one of Queue, Topic"),
        (lambda: MqConfig(region="sh", name=""), "name must be the name"),
    ],
)
def test_a_callback_refuses_what_the_service_would(make: Callable[[], Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_templates_of_airflow_pass_until_they_are_rendered() -> None:
    callback = Callback("{{ var.value.callback }}", format="{{ params.format }}")
    assert callback.to_nodes()["CallBack"] == "{{ var.value.callback }}"
