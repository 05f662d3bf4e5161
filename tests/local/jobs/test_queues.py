"""Queues: their settings, pausing them, and binding buckets to features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.local import LocalCI

PATHS = {
    "/docqueue": ("queue-doc-process-1", "DocProcessing"),
    "/picqueue": ("queue-pic-process-1", "PicProcessing"),
    "/queue": ("queue-1", "Transcoding"),
}


def update(queue_id: str, state: str, name: str = "mine", notify: str = "") -> str:
    return (
        f"<Request><Name>{name}</Name><QueueID>{queue_id}</QueueID><State>{state}</State>"
        f"<NotifyConfig>{notify}</NotifyConfig></Request>"
    )


@pytest.mark.parametrize("path", PATHS)
def test_a_bucket_has_one_queue_of_each_kind(call: Any, path: str) -> None:
    reply = call(
        "GET", "ci", path, [("queueIds", ""), ("state", "All"), ("pageNumber", ""), ("pageSize", "")]
    )
    assert [reply.text(name) for name in ("TotalCount", "PageNumber", "PageSize")] == ["1", "1", "10"]
    queue = reply.xml.find("QueueList")
    assert (queue.findtext("Name"), queue.findtext("Category")) == PATHS[path]
    assert (queue.findtext("State"), queue.findtext("MaxSize"), queue.findtext("MaxConcurrent")) == (
        "Active",
        "10000",
        "10",
    )
    assert queue.findtext("BucketId") == call.bucket
    assert reply.text("RequestId") == reply.headers["x-ci-request-id"]


def test_queues_asked_for_by_id_come_without_counts_and_unknown_ones_are_named(call: Any) -> None:
    queue_id = call("GET", "ci", "/docqueue").text("QueueList/QueueId")
    reply = call("GET", "ci", "/docqueue", [("queueIds", f"{queue_id},p2,p3")])
    assert reply.texts("QueueList/QueueId") == [queue_id]
    assert reply.texts("NonExistPIDs") == ["p2", "p3"]
    assert reply.texts("TotalCount") == []
    assert call("GET", "ci", "/docqueue", [("state", "Paused")]).texts("QueueList") == []
    assert call("GET", "ci", "/docqueue", [("state", "Asleep")]).code == "InvalidArgument"
    assert call("GET", "ci", "/docqueue", [("pageNumber", "2")]).texts("QueueList") == []


def test_a_paused_queue_holds_waiting_jobs_until_it_is_active_again(
    serve: Callable[..., LocalCI], caller: Any, gate: Any, until: Callable[..., None]
) -> None:
    call = caller(serve(convert=gate, workers=1))
    call.put("a.docx")
    running, waiting = call.submit(call.doc_job("a.docx")), call.submit(call.doc_job("a.docx"))
    until(lambda: call.state(running) == "Running")
    queue_id = call("GET", "ci", "/docqueue").text("QueueList/QueueId")
    paused = call("PUT", "ci", f"/docqueue/{queue_id}", body=update(queue_id, "Paused"))
    assert (paused.text("Queue/State"), paused.text("Queue/Name")) == ("Paused", "mine")
    late = call.submit(call.doc_job("a.docx"))
    assert [call.state(job_id) for job_id in (running, waiting, late)] == ["Running", "Pause", "Pause"]
    gate.open.set()
    assert call.finished(running).text("JobsDetail/State") == "Success"
    assert call("PUT", "ci", f"/doc_jobs/{late}", [("cancel", "")]).status == 200
    assert (call.state(waiting), call.state(late)) == ("Pause", "Cancel")
    call("PUT", "ci", f"/docqueue/{queue_id}", body=update(queue_id, "Active"))
    assert call.finished(waiting).text("JobsDetail/State") == "Success"
    assert call.state(late) == "Cancel"


def test_a_paused_queue_is_still_paused_after_a_restart(serve: Callable[..., LocalCI], caller: Any) -> None:
    server = serve()
    call = caller(server)
    call.put("a.docx")
    queue_id = call("GET", "ci", "/docqueue").text("QueueList/QueueId")
    call("PUT", "ci", f"/docqueue/{queue_id}", body=update(queue_id, "Paused", "résumé"))
    held = call.submit(call.doc_job("a.docx"))
    server.stop()
    call = caller(serve())
    assert call("GET", "ci", "/docqueue").text("QueueList/Name") == "résumé"
    assert call.state(held) == "Pause"
    call("PUT", "ci", f"/docqueue/{queue_id}", body=update(queue_id, "Active"))
    assert call.finished(held).text("JobsDetail/State") == "Success"


def test_callback_settings_are_kept(call: Any) -> None:
    queue_id = call("GET", "ci", "/picqueue").text("QueueList/QueueId")
    notify = "<Url>http://127.0.0.1/x?a=1&amp;b=2</Url><State>On</State><Event>TaskFinish</Event>"
    call("PUT", "ci", f"/picqueue/{queue_id}", body=update(queue_id, "Active", notify=notify))
    shown = call("GET", "ci", "/picqueue").xml.find("QueueList/NotifyConfig")
    assert shown.findtext("Url") == "http://127.0.0.1/x?a=1&b=2"
    assert (shown.findtext("State"), shown.findtext("ResultFormat")) == ("On", "XML")


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("<State>Paused</State>", "<State>Asleep</State>", "InvalidArgument"),
        ("<State>Paused</State>", "", "InvalidArgument"),
        ("<Name>mine</Name>", "", "InvalidArgument"),
        ("<Name>mine</Name>", f"<Name>{'x' * 129}</Name>", "InvalidArgument"),
        ("<NotifyConfig></NotifyConfig>", "", "InvalidArgument"),
        ("<NotifyConfig>", "<NotifyConfig><Uri>x</Uri>", "InvalidArgument"),
        ("<NotifyConfig>", "<NotifyConfig><Url>ftp://x</Url>", "InvalidArgument"),
        ("<QueueID>p", "<QueueID>q", "InvalidArgument"),
        ("</Request>", "", "InvalidContent"),
    ],
)
def test_an_update_that_is_not_right_changes_nothing(call: Any, before: str, after: str, code: str) -> None:
    queue_id = call("GET", "ci", "/docqueue").text("QueueList/QueueId")
    body = update(queue_id, "Paused")
    assert before in body
    reply = call("PUT", "ci", f"/docqueue/{queue_id}", body=body.replace(before, after, 1))
    assert (reply.status, reply.code) == (400, code)
    assert call("GET", "ci", "/docqueue").text("QueueList/State") == "Active"


@pytest.mark.parametrize("path", PATHS)
def test_an_update_may_leave_out_the_id_and_the_state_of_the_receiver(call: Any, path: str) -> None:
    """Page 1045/72919 and the samples of the PHP and JavaScript SDKs leave both out."""
    queue_id = call("GET", "ci", path).text("QueueList/QueueId")
    body = (
        f"<Request><Name>{'n' * 128}</Name><State>Paused</State>"
        "<NotifyConfig><Url>http://127.0.0.1/</Url><Event>TaskFinish</Event></NotifyConfig></Request>"
    )
    reply = call("PUT", "ci", f"{path}/{queue_id}", body=body)
    assert (reply.status, reply.text("Queue/State"), reply.text("Queue/Name")) == (200, "Paused", "n" * 128)
    assert (reply.text("Queue/NotifyConfig/State"), reply.text("Queue/QueueId")) == ("Off", queue_id)


def test_a_queue_of_another_kind_or_bucket_is_unknown(call: Any, caller: Any, root: Path) -> None:
    (root / "other-1250000000").mkdir()
    other = caller(call.server, bucket="other-1250000000")("GET", "ci", "/docqueue").text("QueueList/QueueId")
    pictures = call("GET", "ci", "/picqueue").text("QueueList/QueueId")
    for queue_id in (other, pictures, "p1"):
        assert (
            call("PUT", "ci", f"/docqueue/{queue_id}", body=update(queue_id, "Paused")).code
            == "QueueNotFound"
        )
        body = call.doc_job("a.docx").replace("</Request>", f"<QueueId>{queue_id}</QueueId></Request>")
        assert call("POST", "ci", "/doc_jobs", body=body).code == "QueueNotFound"


def test_a_job_may_name_its_queue(call: Any) -> None:
    call.put("a.jpg")
    media = call("GET", "ci", "/queue").text("QueueList/QueueId")
    body = call.pic_job("a.jpg", "out").replace("</Request>", f"<QueueId>{media}</QueueId></Request>")
    assert call.finished(call.submit(body, "/jobs"), "/jobs").text("JobsDetail/QueueId") == media
    assert call("POST", "ci", "/pic_jobs", body=body).code == "QueueNotFound"


@pytest.mark.parametrize(
    ("kind", "path", "code"),
    [
        ("Transcoding", "/queue", ""),
        ("PicProcess", "/picqueue", ""),
        ("SpeedTranscoding", "", "NotImplemented"),
        ("Walking", "", "InvalidArgument"),
    ],
)
def test_a_job_may_name_the_type_of_its_queue(call: Any, kind: str, path: str, code: str) -> None:
    call.put("a.jpg")
    body = call.pic_job("a.jpg", "o").replace("</Request>", f"<QueueType>{kind}</QueueType></Request>")
    reply = call("POST", "ci", "/jobs", body=body)
    if code:
        assert reply.code == code
    else:
        assert reply.text("JobsDetail/QueueId") == call("GET", "ci", path).text("QueueList/QueueId")
    other = call("GET", "ci", "/picqueue").text("QueueList/QueueId")
    named = body.replace("</Request>", f"<QueueId>{other}</QueueId></Request>")
    assert call("POST", "ci", "/jobs", body=named).text("JobsDetail/QueueId") == other
    if path == "/queue":
        assert call("POST", "ci", "/pic_jobs", body=body).code == "QueueNotFound"


def test_held_jobs_go_on_in_the_order_of_their_levels(
    serve: Callable[..., LocalCI], caller: Any, gate: Any
) -> None:
    call = caller(serve(convert=gate, workers=1))
    gate.open.set()
    queue_id = call("GET", "ci", "/docqueue").text("QueueList/QueueId")
    call("PUT", "ci", f"/docqueue/{queue_id}", body=update(queue_id, "Paused"))
    ids = []
    for name, level in (("low", 0), ("high1", 2), ("mid", 1), ("high2", 2)):
        call.put(f"{name}.docx")
        ids.append(call.submit(call.doc_job(f"{name}.docx", more=f"<JobLevel>{level}</JobLevel>")))
    assert {call.state(job_id) for job_id in ids} == {"Pause"}
    assert gate.began == []
    call("PUT", "ci", f"/docqueue/{queue_id}", body=update(queue_id, "Active"))
    for job_id in ids:
        assert call.finished(job_id).text("JobsDetail/State") == "Success"
    assert gate.began == ["high1.docx", "high2.docx", "mid.docx", "low.docx"]


def test_held_jobs_fill_their_queue(serve: Callable[..., LocalCI], caller: Any) -> None:
    call = caller(serve(queue_size=2))
    call.put("a.docx")
    queue_id = call("GET", "ci", "/docqueue").text("QueueList/QueueId")
    call("PUT", "ci", f"/docqueue/{queue_id}", body=update(queue_id, "Paused"))
    held = [call.submit(call.doc_job("a.docx")) for _ in range(2)]
    reply = call("POST", "ci", "/doc_jobs", body=call.doc_job("a.docx"))
    assert (reply.status, reply.code) == (403, "QueueSaturated")
    call("PUT", "ci", f"/docqueue/{queue_id}", body=update(queue_id, "Active"))
    for job_id in held:
        assert call.finished(job_id).text("JobsDetail/State") == "Success"
    assert call.submit(call.doc_job("a.docx"))


@pytest.mark.parametrize(("path", "element"), [("/docbucket", "DocBucket"), ("/picbucket", "PicBucket")])
def test_buckets_are_listed_without_a_bucket_in_the_host(
    call: Any, root: Path, path: str, element: str
) -> None:
    (root / "another-1250000000").mkdir()
    (root / "file-1250000000").touch()

    def listed(*params: tuple[str, str]) -> list[str]:
        reply = call("GET", "ci", path, list(params), host="ci.ap-guangzhou.myqcloud.com")
        return list(reply.texts(f"{element}List/Name"))

    assert listed() == ["another-1250000000", call.bucket]
    assert listed(("bucketNames", f"{call.bucket},nobody")) == [call.bucket]
    assert listed(("bucketName", "ano")) == ["another-1250000000"]
    assert listed(("regions", "ap-beijing,ap-guangzhou"), ("pageSize", "1"), ("pageNumber", "2")) == [
        call.bucket
    ]
    assert listed(("regions", "ap-beijing")) == []


def test_pictures_are_refused_in_a_bucket_that_is_not_bound(call: Any) -> None:
    call.put("a.jpg")
    assert call("DELETE", "ci", "/picbucket").text("BucketName") == call.bucket
    for path in ("/pic_jobs", "/jobs"):
        reply = call("POST", "ci", path, body=call.pic_job("a.jpg", "out"))
        assert (reply.status, reply.code) == (400, "MediaBucketUnBinded")
    assert call("GET", "ci", "/picbucket", host="ci.ap-guangzhou.myqcloud.com").texts("PicBucketList") == []
    bound = call("POST", "ci", "/picbucket")
    assert (bound.text("PicBucket/Name"), bound.text("PicBucket/Region")) == (call.bucket, "ap-guangzhou")
    assert call.submit(call.pic_job("a.jpg", "out"), "/jobs")


def test_binding_documents_is_answered(call: Any) -> None:
    assert call("POST", "ci", "/docbucket").text("DocBucket/BucketId") == call.bucket
    assert call("DELETE", "ci", "/docbucket").status == 405
