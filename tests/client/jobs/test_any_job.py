"""Jobs of any tag: requests, responses, and arguments that are rejected before anything is sent."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from airflow_provider_ci.client import (
    Callback,
    CIClient,
    CIJob,
    DocAIGCMetadata,
    DocProcess,
    DocWatermark,
    FileHashCode,
    FileUncompress,
    ImageOCR,
    JobState,
    SubmissionUnknownError,
)
from airflow_provider_ci.client.jobs.any_job import JOB_OPERATIONS

PLACE = "<Region>ap-guangzhou</Region><Bucket>examplebucket-1250000000</Bucket>"
OBJECT = f"<Output>{PLACE}<Object>out/a</Object></Output>"

FORMS: list[tuple[Any, str | None, str, str]] = [
    # operation, output key, path of the request, XML inside <Operation>
    (FileHashCode("md5"), None, "/file_jobs", "<FileHashCodeConfig><Type>MD5</Type></FileHashCodeConfig>"),
    (
        FileHashCode("SHA256", add_to_header=True, path="/jobs", extra={"A": 1}),
        None,
        "/jobs",
        "<FileHashCodeConfig><Type>SHA256</Type><AddToHeader>true</AddToHeader><A>1</A></FileHashCodeConfig>",
    ),
    (
        FileUncompress("out/", prefix_replaced=1, password="123456", listing=True),
        None,
        "/file_jobs",
        "<FileUncompressConfig><Prefix>out/</Prefix><PrefixReplaced>1</PrefixReplaced>"
        "<UnCompressKey>MTIzNDU2</UnCompressKey><ListingFile>true</ListingFile></FileUncompressConfig>"
        f"<Output>{PLACE}</Output>",
    ),
    (ImageOCR(), None, "/jobs", "<ImageOCR><Type>general</Type></ImageOCR>"),
    (
        ImageOCR("fast", language_type="zh", is_pdf=True, pdf_page_number=2, is_word=False),
        None,
        "/jobs",
        "<ImageOCR><Type>fast</Type><LanguageType>zh</LanguageType><IsPdf>true</IsPdf>"
        "<PdfPageNumber>2</PdfPageNumber><IsWord>false</IsWord></ImageOCR>",
    ),
    (ImageOCR(template_id="t1"), None, "/jobs", "<TemplateId>t1</TemplateId>"),
    (
        DocWatermark(1, image="http://x/a.png", dx="10"),
        "out/a",
        "/doc_jobs",
        f"<DocWatermark><Type>1</Type><Image>http://x/a.png</Image><Dx>10</Dx></DocWatermark>{OBJECT}",
    ),
    (
        DocAIGCMetadata("1"),
        "out/a",
        "/doc_jobs",
        f"<DocAIGCMetadata><AIGCMetadata><Label>1</Label></AIGCMetadata></DocAIGCMetadata>{OBJECT}",
    ),
    (
        CIJob(tag="Snapshot", operation={"Snapshot": {"Mode": "Average", "Count": 3}}),
        "out/a",
        "/jobs",
        f"<Snapshot><Mode>Average</Mode><Count>3</Count></Snapshot>{OBJECT}",
    ),
    (
        CIJob(tag="Transcode", operation={"TemplateId": "t1"}),
        "out/a",
        "/jobs",
        f"<TemplateId>t1</TemplateId>{OBJECT}",
    ),
    (CIJob(tag="MediaInfo"), None, "/jobs", ""),
    (
        CIJob(tag="Concat", operation={"Output": {"SpriteObject": "s"}}, output="prefix"),
        None,
        "/jobs",
        f"<Output>{PLACE}<SpriteObject>s</SpriteObject></Output>",
    ),
    (
        CIJob(tag="FileCompress", operation={"FileCompressConfig": {"Format": "zip", "Key": ["a", "b"]}}),
        "out/a",
        "/file_jobs",
        "<FileCompressConfig><Format>zip</Format><Key>a</Key><Key>b</Key></FileCompressConfig>" + OBJECT,
    ),
    (
        CIJob(tag="PicProcess", operation={"TemplateId": "t1"}, path="/jobs"),
        "out/a",
        "/jobs",
        f"<TemplateId>t1</TemplateId>{OBJECT}",
    ),
]


@pytest.mark.parametrize(
    ("operation", "output_key", "path", "nodes"), FORMS, ids=[str(form[0]) for form in FORMS]
)
def test_a_job_is_sent_as_its_api_page_shows(
    operation: Any, output_key: str | None, path: str, nodes: str, ci: CIClient, wire: Any, job_reply: Any
) -> None:
    wire.will(job_reply(job_id="f1", tag=operation.tag, input_key="in/a", output_key=output_key or ""))
    job = ci.submit_job(
        "in/a", output_key, operation, queue_id="p1", user_data="u1", job_level=1, callback=Callback("no")
    )
    assert job.tag == operation.tag
    assert wire.last.target == path
    assert wire.last.body.decode() == (
        f"<Request><Tag>{operation.tag}</Tag><QueueId>p1</QueueId><Input><Object>in/a</Object></Input>"
        f"<Operation>{nodes}<UserData>u1</UserData><JobLevel>1</JobLevel></Operation>"
        "<CallBack>no</CallBack></Request>"
    )


def test_an_operation_may_name_its_inputs_itself(ci: CIClient, wire: Any, job_reply: Any) -> None:
    wire.will(job_reply(tag="FileCompress", input_key="", output_key="out/a"))
    ci.submit_job(None, "out/a", CIJob(tag="FileCompress", operation={"FileCompressConfig": {}}))
    assert b"<Input>" not in wire.last.body


@pytest.mark.parametrize(
    ("operation", "output_key", "complaint"),
    [
        (
            FileHashCode(),
            "out/a",
            "output_key must be None, not 'out/a': a FileHashCode job writes no single",
        ),
        (FileUncompress(), "out/a", "a FileUncompress job writes no single object"),
        (DocWatermark(1), None, "output_key must be a non-empty object key, not None"),
        (CIJob(tag="Snapshot"), None, "output_key must be a non-empty object key, not None"),
    ],
)
def test_the_output_key_fits_the_operation(
    ci: CIClient, operation: Any, output_key: Any, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        ci.submit_job("in/a", output_key, operation)


def test_another_operation_has_a_method_of_its_own(ci: CIClient) -> None:
    with pytest.raises(TypeError, match="documents and pictures have submit_doc_job"):
        ci.submit_job("in/a", "out/a", DocProcess())  # type: ignore[arg-type] # as a user may
    with pytest.raises(ValueError, match="input_key must be a non-empty object key, not None"):
        ci.submit_job(None, None, FileHashCode())


def test_a_lost_response_is_unknown(ci: CIClient, wire: Any, hang_up: Any) -> None:
    wire.will(hang_up)
    with pytest.raises(SubmissionUnknownError, match="in/a"):
        ci.submit_job("in/a", None, FileHashCode())
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("letter", "read", "cancelled"),
    [
        ("d", "/doc_jobs", "/doc_jobs"),
        ("c", "/jobs", "/jobs"),
        ("f", "/file_jobs", "/jobs"),
        ("a", "/jobs", "/jobs"),
        ("j", "/jobs", "/jobs"),
    ],
)
def test_the_id_of_a_job_says_where_it_is_read(
    letter: str, read: str, cancelled: str, ci: CIClient, wire: Any, job_reply: Any
) -> None:
    wire.will(job_reply(job_id=f"{letter}1", tag="Any"))
    assert ci.get_job(f"{letter}1").job_id == f"{letter}1"
    assert wire.last.target == f"{read}/{letter}1"
    ci.get_job(f"{letter}1", path="/pic_jobs")
    assert wire.last.target == f"/pic_jobs/{letter}1"
    ci.cancel_job(f"{letter}1")
    assert wire.last.target == f"{cancelled}/{letter}1?cancel"


def test_jobs_of_a_tag_are_listed(ci: CIClient, wire: Any, job_xml: Any, reply: Any) -> None:
    wire.will(reply(f"<Response>{job_xml(tag='ImageOCR')}</Response>"))
    assert [job.tag for job in ci.list_jobs("ImageOCR", states=[JobState.RUNNING], input_key="in/a")] == [
        "ImageOCR"
    ]
    assert (
        wire.last.target == "/jobs?tag=ImageOCR&orderByTime=Desc&size=100&states=Running&inputObject=in%2Fa"
    )
    ci.list_jobs_page("FileHashCode", path="/jobs", queue_type="FileProcess", next_token="9")
    assert wire.last.target == (
        "/jobs?tag=FileHashCode&orderByTime=Desc&size=100&queueType=FileProcess&nextToken=9"
    )


def test_where_no_listing_exists_none_is_asked_for(ci: CIClient, wire: Any) -> None:
    for tag in ("FileHashCode", "FileUncompress", "FileCompress"):
        with pytest.raises(
            ValueError, match=f"no listing at /file_jobs, so {tag} jobs are read by their ids"
        ):
            ci.list_jobs(tag)
    assert wire.requests == []
    with pytest.raises(
        ValueError, match="path must be one of /jobs, /doc_jobs, /pic_jobs, /file_jobs, not '/x'"
    ):
        ci.list_jobs("A", path="/x")


RESULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "FileHashCode": (
        '<FileHashCodeResult><MD5>abc</MD5><FileSize>7</FileSize><Etag>"e"</Etag>'
        "<LastModified>x</LastModified></FileHashCodeResult>",
        {"digest": "abc", "size": 7, "etag": '"e"', "sha1": ""},
    ),
    "FileUncompress": (
        "<FileUncompressResult><Region>r</Region><Bucket>b</Bucket><FileCount>2</FileCount><FileList><Contents>"
        "<Key>o/a</Key></Contents><Contents><Key>o/b</Key></Contents><IsTruncated>true</IsTruncated></FileList>"
        "</FileUncompressResult>",
        {"file_count": 2, "keys": ("o/a", "o/b"), "is_truncated": True, "bucket": "b", "region": "r"},
    ),
    "ImageOCR": (
        "<Detection><Language>zh</Language><TextDetections><DetectedText>one</DetectedText><Confidence>98"
        "</Confidence></TextDetections><TextDetections><DetectedText>two</DetectedText></TextDetections></Detection>",
        {"text": "one\ntwo", "language": "zh"},
    ),
    "DocWatermark": (
        "<DocWatermarkResult><Size>9</Size><TotalPageCount>2</TotalPageCount></DocWatermarkResult>",
        {"size": 9, "total_page_count": 2, "etag": ""},
    ),
}


@pytest.mark.parametrize("tag", RESULTS)
def test_results_are_read_where_each_tag_has_them(tag: str, ci: CIClient, wire: Any, reply: Any) -> None:
    nodes, wanted = RESULTS[tag]
    head = "<JobId>j1</JobId><State>Success</State><CreationTime>2022-07-18T15:16:43+0800</CreationTime>"
    for shown in (nodes, "", f"<{tag}Result/><Detection/>"):
        wire.will(
            reply(
                f"<Response><JobsDetail>{head}<Tag>{tag}</Tag><Operation>{shown}</Operation></JobsDetail></Response>"
            )
        )
        result = ci.get_job("j1").result
        if shown == nodes:
            assert {name: getattr(result, name) for name in wanted} == wanted
        else:
            assert result is None


WRONG: list[tuple[Any, str]] = [
    (lambda: CIJob(tag=""), "CIJob.tag must be a tag of the service"),
    (lambda: CIJob(tag="a b"), "CIJob.tag must be a tag of the service"),
    (
        lambda: CIJob(tag="A", path="/ai_jobs"),
        "CIJob.path must be one of /jobs, /doc_jobs, /pic_jobs, /file_jobs",
    ),
    (lambda: CIJob(tag="A", output="file"), "CIJob.output must be one of object, prefix, none"),
    (lambda: CIJob(tag="A", operation="x"), "CIJob.operation must be a dictionary of nodes, not 'x'"),  # type: ignore[arg-type]
    (lambda: CIJob(tag="A", operation={"UserData": "x"}), "must not hold UserData: give user_data"),
    (
        lambda: CIJob(tag="A", operation={"Output": {"Object": "x"}}),
        "must not hold Output.Object: give output_key",
    ),
    (
        lambda: CIJob(tag="A", operation={"B": [{"DocPassword": "secret"}]}),
        "must not hold the secret DocPassword",
    ),
    (lambda: FileHashCode("CRC"), "FileHashCode.type must be one of MD5, SHA1, SHA256, not 'CRC'"),
    (lambda: FileHashCode(""), "FileHashCode.type is required"),
    (lambda: FileHashCode(path="/doc_jobs"), "FileHashCode.path must be one of /file_jobs, /jobs"),
    (lambda: FileUncompress(prefix_replaced=3), "FileUncompress.prefix_replaced must be from 0 to 2"),
    (lambda: ImageOCR("slow"), "ImageOCR.type must be one of general"),
    (lambda: ImageOCR(pdf_page_number=0), "ImageOCR.pdf_page_number must be at least 1"),
    (lambda: ImageOCR(template_id="a/b"), "ImageOCR.template_id must be an id"),
    (lambda: DocWatermark(1, dx=-1), "DocWatermark.dx must be at least 0"),
    (lambda: DocWatermark(""), "DocWatermark.type must be a type"),
]


@pytest.mark.parametrize(("make", "complaint"), WRONG, ids=[each[1][:60] for each in WRONG])
def test_what_makes_no_sense_is_refused_when_it_is_built(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def examples() -> list[Any]:
    return [form[0] for form in FORMS]


@pytest.mark.parametrize("operation", examples(), ids=str)
def test_a_value_can_be_stored_compared_and_changed(operation: Any) -> None:
    assert hash(operation) == hash(dataclasses.replace(operation))
    if "password" in operation.serialize():
        assert "123456" not in f"{operation!r}{operation.serialize()}"
        return
    assert type(operation).deserialize(operation.serialize()) == operation
    assert "0x" not in repr(operation)


@pytest.mark.parametrize("kind", JOB_OPERATIONS, ids=lambda kind: kind.__name__)
def test_every_field_may_be_a_template(kind: Any) -> None:
    needed: dict[str, dict[str, Any]] = {
        "CIJob": {"tag": "A"},
        "DocAIGCMetadata": {"label": "1"},
        "DocWatermark": {"type": 1},
    }
    for each in dataclasses.fields(kind):
        if each.name == "extra" or not each.init:
            continue
        values = {**needed.get(kind.__name__, {}), each.name: "{{ params.value }}"}
        assert getattr(kind(**values), each.name) == "{{ params.value }}"
