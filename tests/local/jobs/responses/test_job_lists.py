"""Reading jobs: by their ids, and page by page with filters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


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


def test_a_list_has_ten_jobs_unless_told_otherwise(call: Any) -> None:
    call.put("a.docx")
    for _ in range(11):
        call.submit(call.doc_job("a.docx"))
    assert len(call("GET", "ci", "/doc_jobs", [("tag", "DocProcess")]).texts("JobsDetail")) == 10
    assert (
        len(call("GET", "ci", "/doc_jobs", [("tag", "DocProcess"), ("size", "100")]).texts("JobsDetail"))
        == 11
    )


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


def test_lists_are_filtered_by_state_queue_time_and_input(call: Any, caller: Any, root: Path) -> None:
    (root / "other-1250000000").mkdir()
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
    assert (
        caller(call.server, bucket="other-1250000000")(
            "GET", "ci", "/jobs", [("tag", "PicProcess"), ("queueId", done[0].text("JobsDetail/QueueId"))]
        ).texts("JobsDetail")
        == []
    )
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
