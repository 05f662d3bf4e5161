"""The order in which jobs run: levels, limits, and cancelling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.local import LocalCI


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
