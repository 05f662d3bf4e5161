"""Jobs: accepted requests, their echo in responses, and their results."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from airflow_provider_ci.local import LocalCI

TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+0800")


def test_a_document_job_ends_with_its_page_in_the_bucket(call: Any, folder: Path) -> None:
    call.put("in/a.docx")
    submitted = call("POST", "ci", "/doc_jobs", body=call.doc_job("in/a.docx", "out/${Number}.pdf"))
    job = submitted.xml.find("JobsDetail")
    assert (submitted.status, submitted.headers["content-type"]) == (200, "application/xml")
    assert (submitted.headers["server"], submitted.texts("JobsDetail/Code")) == ("tencent-ci", ["Success"])
    assert (job.findtext("State"), job.findtext("StartTime"), job.findtext("EndTime")) == (
        "Submitted",
        "-",
        "-",
    )
    assert re.fullmatch("d[0-9a-f]{32}", job.findtext("JobId"))
    assert TIME.fullmatch(job.findtext("CreationTime"))
    done = call.finished(job.findtext("JobId")).xml.find("JobsDetail")
    assert (done.findtext("State"), done.findtext("Code"), done.findtext("Message")) == (
        "Success",
        "Success",
        "",
    )
    assert TIME.fullmatch(done.findtext("StartTime")) and TIME.fullmatch(done.findtext("EndTime"))
    assert done.findtext("Operation/DocProcessResult/PageInfo/TgtUri") == "out/1.pdf"
    assert (folder / "out" / "1.pdf").read_bytes().startswith(b"%PDF")
    assert call("HEAD", "cos", "/out/1.pdf").headers["content-type"] == "application/pdf"


def test_an_answer_has_its_nodes_in_alphabetical_order_with_the_recorded_defaults(call: Any) -> None:
    call.put("a.docx")
    job = call("POST", "ci", "/doc_jobs", body=call.doc_job("a.docx", "p-${Number}", "")).xml.find(
        "JobsDetail"
    )
    assert [node.tag for node in job] == [
        "Code",
        "CreationTime",
        "EndTime",
        "Input",
        "JobId",
        "Message",
        "Operation",
        "QueueId",
        "StartTime",
        "State",
        "Tag",
    ]
    assert {node.tag: node.text or "" for node in job.find("Operation/DocProcess")} == {
        "Comments": "1",
        "DocPassword": "",
        "EndPage": "-1",
        "ImageDpi": "96",
        "ImageParams": "",
        "PageRanges": "",
        "PaperDirection": "0",
        "PaperSize": "0",
        "PicPagination": "0",
        "Quality": "100",
        "SheetId": "0",
        "SrcType": "",
        "StartPage": "0",
        "TgtType": "",
        "Zoom": "100",
    }
    assert [node.tag for node in job.find("Operation")] == ["DocProcess", "JobLevel", "Output"]
    assert {node.tag: node.text for node in job.find("Input")} == {
        "BucketId": "examplebucket-1250000000",
        "Object": "a.docx",
        "Region": "ap-guangzhou",
    }


def test_pages_are_named_by_number_and_by_page(call: Any, folder: Path) -> None:
    call.put("a.docx")
    wanted = "<TgtType>png</TgtType><StartPage>5</StartPage><EndPage>6</EndPage>"
    done = call.finished(call.submit(call.doc_job("a.docx", "/n/${Number}-${Page}.png", wanted)))
    result = done.xml.find("JobsDetail/Operation/DocProcessResult")
    assert [(page.findtext("PageNo"), page.findtext("TgtUri")) for page in result.findall("PageInfo")] == [
        ("5", "/n/1-5.png"),
        ("6", "/n/2-6.png"),
    ]
    assert (result.findtext("SuccPageCount"), result.findtext("FailPageCount")) == ("2", "0")
    assert sorted(path.name for path in (folder / "n").iterdir()) == ["1-5.png", "2-6.png"]


def test_pages_of_sheets_have_four_numbers(call: Any) -> None:
    call.put("a.xlsx")
    done = call.finished(
        call.submit(call.doc_job("a.xlsx", "s${SheetID}/${Number}.png", "<TgtType>png</TgtType>"))
    )
    page = done.xml.find("JobsDetail/Operation/DocProcessResult/PageInfo")
    assert {node.tag: node.text for node in page} == {
        "PageNo": "1",
        "PicIndex": "1",
        "PicNum": "1",
        "TgtUri": "s1/1.png",
        "X-SheetPics": "1",
    }
    assert done.texts("JobsDetail/Operation/DocProcessResult/TotalSheetCount") == ["1"]


@pytest.mark.parametrize("target", ["docx", "", "PNG"])
def test_a_target_that_is_not_known_means_jpg(call: Any, folder: Path, target: str) -> None:
    call.put("a.docx")
    call.finished(call.submit(call.doc_job("a.docx", "p${Number}", f"<TgtType>{target}</TgtType>")))
    start = {"PNG": b"\x89PNG"}.get(target, b"\xff\xd8\xff")
    assert (folder / "p1").read_bytes().startswith(start)


@pytest.mark.parametrize("path", ["/pic_jobs", "/jobs"])
def test_a_picture_job_is_found_under_both_paths(call: Any, folder: Path, path: str) -> None:
    call.put("in/a.jpg")
    job_id = call.submit(call.pic_job("in/a.jpg", "out/a.png", more="<UserData>u 1</UserData>"), path)
    assert re.fullmatch("c[0-9a-f]{32}", job_id)
    for shown in ("/pic_jobs", "/jobs"):
        done = call.finished(job_id, shown).xml.find("JobsDetail")
        assert (done.findtext("State"), done.findtext("Tag")) == ("Success", "PicProcess")
        assert done.findtext("Operation/UserData") == "u 1"
        result = done.find("Operation/PicProcessResult")
        assert result.findtext("ObjectName") == "out/a.png"
        assert result.findtext("ProcessResult/Format") == "png"
        assert result.findtext("ProcessResult/Etag") == call.get("out/a.png").headers["etag"]
        assert result.findtext("OriginalInfo/Etag") == call.get("in/a.jpg").headers["etag"]
        assert [node.tag for node in result.find("OriginalInfo/ImageInfo")] == [
            "Ave",
            "Format",
            "Height",
            "Orientation",
            "Quality",
            "Width",
        ]
    assert (folder / "out" / "a.png").read_bytes().startswith(b"\x89PNG")
    assert call.job(job_id, "/doc_jobs").texts("NonExistJobIds") == [job_id]


def test_a_leading_slash_stays_in_the_name_but_not_in_the_key(call: Any, folder: Path) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "a.docx").write_bytes(b"x")
    done = call.finished(call.submit(call.doc_job("/in/a.docx", "/out/a.pdf")))
    assert done.text("JobsDetail/Operation/DocProcessResult/PageInfo/TgtUri") == "/out/a.pdf"
    assert (folder / "out" / "a.pdf").exists()


@pytest.mark.parametrize("key", ["in/a b+c%41 表&<>.docx", "in/'q\".docx", "x//y/../z.docx"])
def test_odd_keys_are_processed_like_others(call: Any, key: str) -> None:
    call.put(key)
    done = call.finished(call.submit(call.doc_job(escape(key), f"out/{escape(key)}.pdf")))
    assert done.text("JobsDetail/State") == "Success"
    assert done.text("JobsDetail/Input/Object") == key
    assert call.get(f"out/{key}.pdf").body.startswith(b"%PDF")


def test_a_quality_outside_its_range_is_accepted_and_echoed(call: Any) -> None:
    call.put("a.docx")
    done = call.finished(call.submit(call.doc_job("a.docx", "p${Number}", "<Quality>109</Quality>")))
    assert done.text("JobsDetail/Operation/DocProcess/Quality") == "109"
    assert done.text("JobsDetail/State") == "Success"


def test_the_object_as_it_was_when_the_job_began_is_converted(
    serve: Callable[..., LocalCI], caller: Any, gate: Any, until: Callable[..., None]
) -> None:
    call = caller(serve(convert=gate))
    call.put("a.docx")
    job_id = call.submit(call.doc_job("a.docx"))
    until(lambda: len(gate.began) == 1)
    call("DELETE", "cos", "/a.docx")
    gate.open.set()
    assert call.finished(job_id).text("JobsDetail/State") == "Success"


def test_a_wrong_clock_does_not_reach_the_times_of_jobs(call: Any) -> None:
    call.put("a.docx")
    now = time.time()
    for seconds in (1200, -1200):
        call.server.faults.add("clock", seconds=seconds, method="POST")
        reply = call("POST", "ci", "/doc_jobs", body=call.doc_job("a.docx"), now=now + seconds)
        created = datetime.strptime(reply.text("JobsDetail/CreationTime"), "%Y-%m-%dT%H:%M:%S%z")
        assert int(now) <= created.timestamp() <= time.time()
