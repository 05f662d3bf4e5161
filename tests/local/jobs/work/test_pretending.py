"""Jobs that are only pretended: they succeed and write nothing; everything else works as usual."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.local import LocalCI


@pytest.fixture
def server(serve: Callable[..., LocalCI]) -> LocalCI:
    """A local CI that only pretends to do its jobs."""
    return serve(convert="none")


def test_a_job_succeeds_and_nothing_is_written(call: Any, folder: Path) -> None:
    done = call.finished(call.submit(call.doc_job("nobody's.docx", "out/${Number}.pdf")))
    assert done.text("JobsDetail/State") == "Success"
    result = done.xml.find("JobsDetail/Operation/DocProcessResult")
    assert (result.findtext("PageInfo/TgtUri"), result.findtext("TotalPageCount")) == ("out/1.pdf", "1")
    assert list(folder.iterdir()) == []


def test_a_picture_job_succeeds_without_a_picture(call: Any, folder: Path) -> None:
    job_id = call.submit(call.pic_job("nobody's.jpg", "out/a.png"), "/pic_jobs")
    done = call.finished(job_id, "/pic_jobs")
    assert done.text("JobsDetail/State") == "Success"
    assert done.text("JobsDetail/Operation/PicProcessResult/ObjectName") == "out/a.png"
    assert list(folder.iterdir()) == []


def test_a_file_job_succeeds_without_a_file(call: Any, folder: Path) -> None:
    body = (
        "<Request><Tag>FileHashCode</Tag><Input><Object>nobody's.bin</Object></Input><Operation>"
        "<FileHashCodeConfig><Type>MD5</Type></FileHashCodeConfig></Operation></Request>"
    )
    done = call.finished(call.submit(body, "/file_jobs"), "/file_jobs")
    assert done.text("JobsDetail/State") == "Success"
    assert done.text("JobsDetail/Operation/FileHashCodeResult/FileSize") == "0"
    assert list(folder.iterdir()) == []


def test_more_jobs_than_end_together_all_end(call: Any) -> None:
    set_queue(call, "Paused")
    for number in range(250):
        call.submit(call.doc_job(f"{number}.docx"))
    assert listed(call, "Pause") == 100
    set_queue(call, "Active")
    call.finished(call.submit(call.doc_job("last.docx")))
    assert listed(call, "Pause,Submitted,Running") == 0


def test_a_waiting_job_can_be_cancelled_and_stays_so(call: Any) -> None:
    set_queue(call, "Paused")
    cancelled, other = call.submit(call.doc_job("a.docx")), call.submit(call.doc_job("b.docx"))
    assert call("PUT", "ci", f"/doc_jobs/{cancelled}", [("cancel", "")]).status == 200
    set_queue(call, "Active")
    assert call.finished(other).text("JobsDetail/State") == "Success"
    assert call.state(cancelled) == "Cancel"


def test_jobs_that_wait_when_the_server_stops_succeed_after_the_next_start(
    serve: Callable[..., LocalCI], caller: Any
) -> None:
    server = serve(convert="none")
    call = caller(server)
    set_queue(call, "Paused")
    job_id = call.submit(call.doc_job("a.docx"))
    set_queue(call, "Active")
    server.stop()
    assert caller(serve(convert="none")).finished(job_id).text("JobsDetail/State") == "Success"


def set_queue(call: Any, state: str) -> None:
    queue_id = call("GET", "ci", "/docqueue").text("QueueList/QueueId")
    body = (
        f"<Request><Name>q</Name><QueueID>{queue_id}</QueueID><State>{state}</State><NotifyConfig/></Request>"
    )
    assert call("PUT", "ci", f"/docqueue/{queue_id}", body=body).status == 200


def listed(call: Any, states: str) -> int:
    params = [("tag", "DocProcess"), ("states", states), ("size", "100")]
    return len(call("GET", "ci", "/doc_jobs", params).texts("JobsDetail"))
