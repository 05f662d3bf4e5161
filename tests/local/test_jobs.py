"""Jobs: what is accepted, what is shown of it, how it ends, and how it is found again."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert import InstantConverters
from airflow_provider_ci.local.jobs import FOLLOWS, State

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


FAILURES = {
    "missing object": ("in/none.docx", "out.pdf", "ResourceNotFound", "in/none.docx"),
    "empty file": ("in/empty.docx", "out.pdf", "EmptyFile", ""),
    "unknown type": ("in/a.zzz", "out.pdf", "UnsupportedType", ""),
    "output under an object": ("in/a.docx", "in/a.docx/out.pdf", "PathConflict", "in/a.docx/out.pdf"),
    "output key too long": ("in/a.docx", "x" * 851, "KeyTooLong", "851"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_what_cannot_be_done_fails_its_own_job_with_code_and_message(call: Any, case: str) -> None:
    key, output, code, message = FAILURES[case]
    call.put("in/a.docx")
    call.put("in/empty.docx", b"")
    call.put("in/a.zzz")
    failing, other = call.submit(call.doc_job(key, output)), call.submit(call.doc_job("in/a.docx", "ok.pdf"))
    failed = call.finished(failing)
    assert failed.texts("JobsDetail/State") == ["Failed"]
    assert failed.text("JobsDetail/Code") == code
    assert message in failed.text("JobsDetail/Message")
    assert failed.xml.find("JobsDetail/Operation/DocProcessResult") is None
    assert call.finished(other).text("JobsDetail/State") == "Success"


def test_a_rule_that_makes_no_sense_is_accepted_and_fails_the_job(call: Any) -> None:
    call.put("a.jpg")
    failed = call.finished(
        call.submit(call.pic_job("a.jpg", "b.jpg", "imageMogr2/nonsense"), "/pic_jobs"), "/pic_jobs"
    )
    assert failed.text("JobsDetail/State") == "Failed"
    assert failed.text("JobsDetail/Message")


def test_a_failing_conversion_of_any_kind_ends_its_job(
    serve: Callable[..., LocalCI], caller: Any, gate: Any
) -> None:
    gate.document = lambda *_: 1 / 0
    call = caller(serve(convert=gate))
    call.put("a.docx")
    logging.getLogger("airflow_provider_ci.local.processing").disabled = True
    failed = call.finished(call.submit(call.doc_job("a.docx")))
    logging.getLogger("airflow_provider_ci.local.processing").disabled = False
    assert (failed.text("JobsDetail/Code"), failed.text("JobsDetail/State")) == ("InternalError", "Failed")


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


def test_a_quality_outside_its_range_is_accepted_and_echoed(call: Any) -> None:
    call.put("a.docx")
    done = call.finished(call.submit(call.doc_job("a.docx", "p${Number}", "<Quality>109</Quality>")))
    assert done.text("JobsDetail/Operation/DocProcess/Quality") == "109"
    assert done.text("JobsDetail/State") == "Success"


def test_a_password_is_shown_nowhere(
    serve: Callable[..., LocalCI], caller: Any, gate: Any, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = serve(convert=gate)
    call = caller(server)
    call.put("a.docx")
    body = call.doc_job("a.docx", "p${Number}", "<DocPassword>s3cr3t-word</DocPassword>")
    job_id = call.submit(body)
    missing = call.submit(body.replace("a.docx", "none.docx"))
    gate.open.set()
    for reply in (
        call.finished(job_id),
        call.finished(missing),
        call("GET", "ci", "/doc_jobs", [("tag", "DocProcess")]),
    ):
        assert b"s3cr3t-word" not in reply.body
        assert "******" in reply.texts("JobsDetail/Operation/DocProcess/DocPassword")
    server.stop()
    assert b"s3cr3t-word" not in (root / ".ci-local" / "state.sqlite").read_bytes()
    assert "s3cr3t-word" not in caplog.text


def test_a_password_is_forgotten_on_disk_when_its_job_ends(
    serve: Callable[..., LocalCI], caller: Any, gate: Any, root: Path, until: Callable[..., None]
) -> None:
    def is_on_disk() -> bool:
        state = [path for path in (root / ".ci-local").rglob("*") if path.is_file()]
        return any(b"s3cr3t-word" in path.read_bytes() for path in state)

    call = caller(serve(convert=gate, workers=1))
    call.put("a.docx")
    body = call.doc_job("a.docx", "p${Number}", "<DocPassword>s3cr3t-word</DocPassword>")
    running, waiting = call.submit(body), call.submit(body)
    until(lambda: call.state(running) == "Running")
    assert call("PUT", "ci", f"/doc_jobs/{waiting}", [("cancel", "")]).status == 200
    assert is_on_disk()
    gate.open.set()
    call.finished(running)
    assert not is_on_disk()


def test_an_output_in_the_way_of_other_objects_fails_its_job_alone(call: Any) -> None:
    call.put("a.docx")
    call.put("taken/by", b"an object")
    for output in ("taken", "taken/by/too.pdf"):
        failed = call.finished(call.submit(call.doc_job("a.docx", output)))
        assert failed.texts("JobsDetail/State") + failed.texts("JobsDetail/Code") == [
            "Failed",
            "PathConflict",
        ]
        assert f"'{output}' cannot be stored" in failed.text("JobsDetail/Message")
    assert call.get("taken/by").body == b"an object"
    assert call.finished(call.submit(call.doc_job("a.docx"))).text("JobsDetail/State") == "Success"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(5, "Input/output error", "/a/path"), "the local CI failed: Input/output error"),
        (RuntimeError("defect in /a/path"), "the local CI failed: RuntimeError"),
    ],
)
def test_a_defect_of_the_local_ci_fails_the_job_and_shows_no_path(
    serve: Callable[..., LocalCI],
    caller: Any,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    message: str,
) -> None:
    class Defective(InstantConverters):
        def document(self, *_: object) -> Any:
            raise error

    call = caller(serve(convert=Defective()))
    call.put("a.docx")
    failed = call.finished(call.submit(call.doc_job("a.docx")))
    assert failed.text("JobsDetail/Code") == "InternalError"
    assert failed.text("JobsDetail/Message") == message
    assert "/a/path" in caplog.text


def test_unknown_jobs_are_named(call: Any, caller: Any, root: Path) -> None:
    call.put("a.docx")
    job_id = call.submit(call.doc_job("a.docx"))
    reply = call("GET", "ci", f"/doc_jobs/{job_id},dx,dy")
    assert (reply.status, reply.texts("JobsDetail/JobId"), reply.texts("NonExistJobIds")) == (
        200,
        [job_id],
        ["dx", "dy"],
    )
    assert call.job("dx").texts("JobsDetail") == []
    (root / "other-1250000000").mkdir()
    assert caller(call.server, bucket="other-1250000000").job(job_id).texts("NonExistJobIds") == [job_id]


@pytest.mark.parametrize("path", ["/doc_jobs", "/pic_jobs", "/jobs"])
def test_at_most_ten_jobs_are_asked_for_at_once(call: Any, path: str) -> None:
    ids = [f"c{number}" for number in range(11)]
    assert len(call("GET", "ci", f"{path}/{','.join(ids[:10])}").texts("NonExistJobIds")) == 10
    reply = call("GET", "ci", f"{path}/{','.join(ids)}")
    assert (reply.status, reply.code) == (400, "InvalidArgument")


def test_pages_of_a_list_stay_as_they_are_while_jobs_are_added(call: Any) -> None:
    call.put("a.docx")
    ids = [call.submit(call.doc_job("a.docx")) for _ in range(7)]
    listed: list[str] = []
    token = ""
    while True:
        params = [
            ("tag", "DocProcess"),
            ("size", "3"),
            ("nextToken", token),
            ("orderByTime", "Desc"),
            ("states", "All"),
        ]
        reply = call("GET", "ci", "/doc_jobs", params)
        listed += reply.texts("JobsDetail/JobId")
        token = reply.text("NextToken")
        if not token:
            break
        call.submit(call.doc_job("a.docx"))
    assert listed == ids[::-1]
    oldest = call("GET", "ci", "/doc_jobs", [("tag", "DocProcess"), ("orderByTime", "Asc"), ("size", "2")])
    assert oldest.texts("JobsDetail/JobId") == ids[:2]
    following = [
        ("tag", "DocProcess"),
        ("orderByTime", "Asc"),
        ("size", "2"),
        ("nextToken", oldest.text("NextToken")),
    ]
    assert call("GET", "ci", "/doc_jobs", following).texts("JobsDetail/JobId") == ids[2:4]


def test_a_list_has_ten_jobs_unless_told_otherwise(call: Any) -> None:
    call.put("a.docx")
    for _ in range(11):
        call.submit(call.doc_job("a.docx"))
    assert len(call("GET", "ci", "/doc_jobs", [("tag", "DocProcess")]).texts("JobsDetail")) == 10
    assert (
        len(call("GET", "ci", "/doc_jobs", [("tag", "DocProcess"), ("size", "100")]).texts("JobsDetail"))
        == 11
    )


def test_lists_are_filtered_by_state_queue_time_and_input(call: Any) -> None:
    for key in ("a.jpg", "b.jpg"):
        call.put(key)
    first = call.submit(call.pic_job("a.jpg", "out/a"), "/pic_jobs")
    second = call.submit(call.pic_job("b.jpg", "out/b"), "/jobs")
    failing = call.submit(call.pic_job("none.jpg", "out/c"), "/jobs")
    done = [call.finished(job_id, "/jobs") for job_id in (first, second, failing)]

    def listed(*params: tuple[str, str], path: str = "/pic_jobs") -> list[str]:
        wanted = [("tag", "PicProcess"), ("orderByTime", "Asc"), *params]
        return list(call("GET", "ci", path, wanted).texts("JobsDetail/JobId"))

    assert listed() == listed(path="/jobs") == [first, second, failing]
    assert listed(("states", "Failed")) == [failing]
    assert listed(("states", "Running,Failed,Success")) == [first, second, failing]
    assert listed(("states", "Submitted")) == []
    assert listed(("inputObject", "b.jpg")) == [second]
    assert listed(("queueId", done[0].text("JobsDetail/QueueId"))) == [first, second, failing]
    assert listed(("queueId", "p1")) == []
    assert listed(("queueType", "PicProcess"), path="/jobs") == [first, second, failing]
    assert listed(("queueType", "Transcoding"), path="/jobs") == []
    assert listed(("queueType", "AIProcess"), path="/jobs") == []
    assert listed(("queueType", "AIProcess"), ("queueId", done[0].text("JobsDetail/QueueId"))) == listed()
    assert listed(("workflowId", "w1")) == listed(("inventoryTriggerJobId", "b1"), path="/jobs") == []
    times = [reply.text("JobsDetail/CreationTime") for reply in done]
    assert first in listed(("startCreationTime", times[0]), ("endCreationTime", times[0]))
    assert listed(("startCreationTime", times[0]), ("endCreationTime", times[2])) == [first, second, failing]
    assert listed(("endCreationTime", "2001-01-01T00:00:00+0800")) == []
    assert listed(("startCreationTime", "2100-01-01T00:00:00+0800")) == []


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("tag", "", "InvalidArgument"),
        ("tag", "PicProcess", "InvalidArgument"),
        ("size", "101", "InvalidArgument"),
        ("size", "0", "InvalidArgument"),
        ("nextToken", "x'; DROP TABLE jobs", "InvalidArgument"),
        ("states", "Done", "InvalidArgument"),
        ("orderByTime", "Up", "InvalidArgument"),
        ("startCreationTime", "yesterday", "InvalidArgument"),
        ("queueType", "Asleep", "InvalidArgument"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(call: Any, name: str, value: str, code: str) -> None:
    params = {"tag": "DocProcess", name: value}
    assert call("GET", "ci", "/doc_jobs", list(params.items())).code == code


@pytest.mark.parametrize(
    ("submit", "cancel"), [("/doc_jobs", "/doc_jobs"), ("/pic_jobs", "/jobs"), ("/jobs", "/jobs")]
)
def test_only_a_job_that_has_not_begun_can_be_cancelled(
    serve: Callable[..., LocalCI],
    caller: Any,
    gate: Any,
    until: Callable[..., None],
    submit: str,
    cancel: str,
) -> None:
    call = caller(serve(convert=gate, workers=1))
    call.put("a.jpg")
    body = call.doc_job("a.jpg") if submit == "/doc_jobs" else call.pic_job("a.jpg", "out")
    running, waiting = call.submit(body, submit), call.submit(body, submit)
    until(lambda: call.state(running, submit) == "Running")
    reply = call("PUT", "ci", f"{cancel}/{waiting}", [("cancel", "")])
    assert (reply.status, reply.body, call.state(waiting, submit)) == (200, b"", "Cancel")
    for job_id in (running, waiting):
        refused = call("PUT", "ci", f"{cancel}/{job_id}", [("cancel", "")])
        assert (refused.status, refused.code) == (400, "InvalidArgument")
        assert "can not be modified" in refused.text("Message")
    gate.open.set()
    assert call.finished(running, submit).text("JobsDetail/State") in ("Success", "Failed")
    assert call.state(waiting, submit) == "Cancel"
    assert len(gate.began) == 1
    assert call("PUT", "ci", f"{cancel}/x1", [("cancel", "")]).code == "ResourceNotFound"
    assert call("PUT", "ci", f"{cancel}/{waiting}").code == "InvalidArgument"


def test_higher_levels_go_first_and_equals_in_the_order_of_submission(
    serve: Callable[..., LocalCI], caller: Any, gate: Any, until: Callable[..., None]
) -> None:
    call = caller(serve(convert=gate, workers=1))
    for name in ("first", "low1", "low2", "mid", "high1", "high2"):
        call.put(f"{name}.docx")
    ids = [call.submit(call.doc_job("first.docx"))]
    until(lambda: gate.began == ["first.docx"])
    for name, level in (("low1", 0), ("high1", 2), ("mid", 1), ("low2", 0), ("high2", 2)):
        ids.append(call.submit(call.doc_job(f"{name}.docx", more=f"<JobLevel>{level}</JobLevel>")))
    gate.open.set()
    for job_id in ids:
        call.finished(job_id)
    assert gate.began == [f"{name}.docx" for name in ("first", "high1", "high2", "mid", "low1", "low2")]


def test_no_more_jobs_run_at_once_than_workers_and_queue_allow(
    serve: Callable[..., LocalCI], caller: Any, gate: Any, until: Callable[..., None]
) -> None:
    call = caller(serve(convert=gate, workers=3, queue_concurrency=2))
    call.put("a.docx")
    call.put("a.jpg")
    docs = [call.submit(call.doc_job("a.docx")) for _ in range(4)]
    until(lambda: len(gate.began) == 2)
    pics = [call.submit(call.pic_job("a.jpg", "a.png"), "/jobs") for _ in range(2)]
    until(lambda: len(gate.began) == 3)
    assert [call.state(job_id) for job_id in docs] == ["Running", "Running", "Submitted", "Submitted"]
    assert [call.state(job_id, "/jobs") for job_id in pics] == ["Running", "Submitted"]
    gate.open.set()
    assert {call.finished(job_id).text("JobsDetail/State") for job_id in docs} == {"Success"}


def test_a_full_queue_refuses_more_jobs(
    serve: Callable[..., LocalCI], caller: Any, gate: Any, until: Any
) -> None:
    call = caller(serve(convert=gate, workers=1, queue_size=2))
    call.put("a.docx")
    first = call.submit(call.doc_job("a.docx"))
    until(lambda: call.state(first) == "Running")
    waiting = [call.submit(call.doc_job("a.docx")) for _ in range(2)]
    reply = call("POST", "ci", "/doc_jobs", body=call.doc_job("a.docx"))
    assert (reply.status, reply.code) == (403, "QueueSaturated")
    assert call("PUT", "ci", f"/doc_jobs/{waiting[0]}", [("cancel", "")]).status == 200
    assert call.submit(call.doc_job("a.docx"))


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


def test_final_states_are_followed_by_none() -> None:
    assert {state for state, following in FOLLOWS.items() if not following} == {
        State.SUCCESS,
        State.FAILED,
        State.CANCEL,
    }
    assert set(FOLLOWS) == set(State)


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


def test_blanks_around_a_key_and_a_password_belong_to_it(call: Any) -> None:
    call.put(" a.docx")
    body = call.doc_job(" a.docx", " out.pdf").replace("</TgtType>", "</TgtType><DocPassword> </DocPassword>")
    done = call.finished(call.submit(body))
    assert done.text("JobsDetail/State") == "Success"
    assert done.text("JobsDetail/Operation/DocProcess/DocPassword") == "******"
    assert call.get(" out.pdf").status == 200


def test_a_wrong_clock_does_not_reach_the_times_of_jobs(call: Any) -> None:
    call.put("a.docx")
    now = time.time()
    for seconds in (1200, -1200):
        call.server.faults.add("clock", seconds=seconds, method="POST")
        reply = call("POST", "ci", "/doc_jobs", body=call.doc_job("a.docx"), now=now + seconds)
        created = datetime.strptime(reply.text("JobsDetail/CreationTime"), "%Y-%m-%dT%H:%M:%S%z")
        assert int(now) <= created.timestamp() <= time.time()
