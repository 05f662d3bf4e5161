"""Typed arguments and result fields for parameters that other clients of the service also support."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ci.client import (
    Callback,
    CIClient,
    DocAIGCMetadata,
    DocPreview,
    DocProcess,
    DocWatermark,
    JobWorkflow,
    KafkaConfig,
    MqConfig,
    PicProcess,
)

RULE = PicProcess("imageMogr2/rotate/90")
OUTPUT = "<Region>ap-guangzhou</Region><Bucket>examplebucket-1250000000</Bucket><Object>out/a.pdf</Object>"


def body(wire: Any) -> str:
    return str(wire.last.body.decode())


def test_a_watermark_for_a_document(ci: CIClient, wire: Any, job_reply: Any) -> None:
    wire.will(job_reply(tag="DocWatermark"))
    operation = DocWatermark(
        1,
        image="https://x/a.png?b&c",
        source_type="pdf",
        dx=10,
        dy="20",
        batch=1,
        horizontal_spacing=30,
        vertical_spacing=40,
        extra={"Dissolve": 50},
    )
    assert ci.submit_doc_job("in/a.docx", "out/a.pdf", operation).tag == "DocWatermark"
    assert wire.last.target == "/doc_jobs"
    assert body(wire) == (
        "<Request><Tag>DocWatermark</Tag><Input><Object>in/a.docx</Object></Input><Operation><DocWatermark>"
        "<SrcType>pdf</SrcType><Type>1</Type><Image>https://x/a.png?b&amp;c</Image><Dx>10</Dx><Dy>20</Dy>"
        "<Batch>1</Batch><HorizontalSpacing>30</HorizontalSpacing><VerticalSpacing>40</VerticalSpacing>"
        f"<Dissolve>50</Dissolve></DocWatermark><Output>{OUTPUT}</Output></Operation></Request>"
    )


def test_the_mark_of_generated_content(ci: CIClient, wire: Any, job_reply: Any) -> None:
    wire.will(job_reply(tag="DocAIGCMetadata"))
    operation = DocAIGCMetadata(
        "1", content_producer="P", produce_id="n-${InputName}", extra={"PropagateID": "q"}
    )
    ci.submit_doc_job("in/a.docx", "out/a.pdf", operation)
    assert (
        "<Tag>DocAIGCMetadata</Tag><Input><Object>in/a.docx</Object></Input><Operation><DocAIGCMetadata>"
        "<AIGCMetadata><Label>1</Label><ContentProducer>P</ContentProducer><ProduceID>n-${InputName}</ProduceID>"
        "<PropagateID>q</PropagateID></AIGCMetadata></DocAIGCMetadata>"
    ) in body(wire)


def test_an_input_from_elsewhere(ci: CIClient, wire: Any, reply: Any, job_xml: Any) -> None:
    job = job_xml().replace("<Object>in/a.docx</Object>", "<Url>https://x/a.docx</Url>")
    wire.will(reply(f"<Response>{job}</Response>"))
    found = ci.submit_doc_job(None, "out/a.pdf", DocProcess(), input_url="https://x/a.docx")
    assert found.input_key == ""
    assert "<Input><Url>https://x/a.docx</Url></Input>" in body(wire)


@pytest.mark.parametrize(
    ("key", "url", "complaint"),
    [
        (None, None, "input_key must be"),
        ("a", "https://x", "not both"),
        (None, "ftp://x", "input_url must begin with"),
    ],
)
def test_an_input_is_one_of_both(key: Any, url: Any, complaint: str, ci: CIClient) -> None:
    with pytest.raises(ValueError, match=complaint):
        ci.submit_doc_job(key, "out/a.pdf", DocProcess(), input_url=url)


def test_a_type_of_queue_and_a_sprite(ci: CIClient, wire: Any, job_reply: Any) -> None:
    wire.will(job_reply())
    ci.submit_pic_job("in/a.docx", "out/a.pdf", RULE, queue_type="PicProcess", output_sprite_key="out/s.png")
    assert body(wire).endswith(
        f"<Output>{OUTPUT}<SpriteObject>out/s.png</SpriteObject></Output></Operation>"
        "<QueueType>PicProcess</QueueType></Request>"
    )
    with pytest.raises(ValueError, match="queue_type must be one of"):
        ci.submit_pic_job("in/a.docx", "out/a.pdf", RULE, queue_type="Odd")


def test_a_callback_over_kafka(ci: CIClient, wire: Any, job_reply: Any) -> None:
    wire.will(job_reply())
    kafka = KafkaConfig(region="ap-guangzhou", instance_id="ckafka-1", topic="t")
    ci.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess(), callback=Callback(kafka=kafka))
    assert body(wire).endswith(
        "</Operation><CallBackType>Kafka</CallBackType><CallBackKafkaConfig><Region>ap-guangzhou</Region>"
        "<InstanceId>ckafka-1</InstanceId><Topic>t</Topic></CallBackKafkaConfig></Request>"
    )
    with pytest.raises(ValueError, match="one destination only"):
        Callback(kafka=kafka, mq=MqConfig(region="gz", name="q"))
    with pytest.raises(ValueError, match=r"KafkaConfig\.topic"):
        KafkaConfig(region="a", instance_id="b", topic="")


def test_further_nodes_at_any_depth(ci: CIClient, wire: Any, job_reply: Any) -> None:
    wire.will(job_reply())
    extra = {
        "Input": {"CosHeaders": [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]},
        "Operation": {"DocProcess": {"New": 1}, "Output": {"Object": "out/a.pdf", "AuObject": "x"}},
        "Version": "2",
    }
    ci.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess("pdf"), extra=extra)
    assert body(wire) == (
        "<Request><Tag>DocProcess</Tag><Input><Object>in/a.docx</Object><CosHeaders><Key>a</Key><Value>b</Value>"
        "</CosHeaders><CosHeaders><Key>c</Key><Value>d</Value></CosHeaders></Input><Operation><DocProcess>"
        f"<TgtType>pdf</TgtType><New>1</New></DocProcess><Output>{OUTPUT}<AuObject>x</AuObject></Output>"
        "</Operation><Version>2</Version></Request>"
    )


def test_previews_in_an_office_and_with_a_watermark(ci: CIClient) -> None:
    office = DocPreview("html", weboffice_url=1, token_uid="u1").to_params()
    assert (office["weboffice_url"], office["tokenuid"]) == ("1", "u1")
    assert DocPreview("watermark").to_params()["dstType"] == "watermark"
    with pytest.raises(ValueError, match="weboffice_url"):
        DocPreview("html", weboffice_url=3)


def test_what_is_told_of_a_picture_job(ci: CIClient, wire: Any, reply: Any, job_xml: Any) -> None:
    def made(number: int) -> str:
        return (
            f"<Object><Key>o{number}</Key><Location>x/o{number}</Location><Format>gif</Format><Width>1</Width>"
            f"<Quality>68.5</Quality><FrameCount>{number}</FrameCount><WatermarkStatus>90</WatermarkStatus></Object>"
        )

    result = (
        "<PicProcessResult><UploadResult><OriginalInfo><Key>i</Key><Location>x/i</Location><ImageInfo>"
        "<FrameCount>7</FrameCount></ImageInfo></OriginalInfo>"
        f"<ProcessResults>{made(1)}{made(2)}</ProcessResults></UploadResult></PicProcessResult>"
    )
    names = "<WorkflowName>n</WorkflowName><Name>m</Name>"
    workflow = f"<Workflow><RunId>r</RunId><WorkflowId>w</WorkflowId>{names}</Workflow>"
    job = job_xml(job_id="c1", tag="PicProcess", state="Success", result=result)
    job = job.replace("</JobsDetail>", f"<Progress>40</Progress><SubTag>s</SubTag>{workflow}</JobsDetail>")
    wire.will(reply(f"<Response>{job}</Response>"))
    found = ci.get_pic_job("c1")
    assert (found.progress, found.sub_tag) == (40, "s")
    assert found.workflow == JobWorkflow(workflow_id="w", run_id="r", workflow_name="n", name="m")
    told: Any = found.result
    assert [(each.key, each.location, each.frame_count) for each in told.objects] == [
        ("o1", "x/o1", 1),
        ("o2", "x/o2", 2),
    ]
    assert (told.key, told.location, told.frame_count, told.watermark_status) == ("o1", "x/o1", 1, 90)
    assert told.quality is None
    assert (told.original.location, told.original.frame_count) == ("x/i", 7)


def test_what_is_told_of_a_document_job(ci: CIClient, wire: Any, job_reply: Any) -> None:
    result = "<DocProcessResult><TaskId>t</TaskId><TgtType>png</TgtType></DocProcessResult>"
    wire.will(job_reply(state="Success", result=result))
    job = ci.get_doc_job("d1")
    told: Any = job.result
    assert (told.task_id, told.target_type) == ("t", "png")
    assert (job.progress, job.sub_tag, job.workflow) == (None, "", None)
