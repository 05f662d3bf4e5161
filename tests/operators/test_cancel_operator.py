from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Context

from airflow_provider_ci.client import AccessDeniedError, CIClient, DocProcess, JobState, PicProcess
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert import DocumentResult, InstantConverters
from airflow_provider_ci.operators import CICancelJobsOperator

RunDag = Callable[..., Any]
Fill = Callable[..., None]

NONE = {"cancelled": 0, "running": 0, "ended": 0, "unknown": 0}
UNKNOWN = "d" + "0" * 32


def cancel(**options: Any) -> dict[str, int]:
    return CICancelJobsOperator(task_id="cancel", **options).execute(Context())


class HeldConverters(InstantConverters):
    """Instant converters; a test can hold documents, so that their jobs run until it sets ``let_go``."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()
        self.let_go.set()

    def document(self, *arguments: Any) -> DocumentResult:
        self.let_go.wait()
        return super().document(*arguments)


@pytest.fixture
def converters() -> HeldConverters:
    return HeldConverters()


@pytest.fixture
def local_ci(tmp_path: Path, converters: HeldConverters) -> Iterator[LocalCI]:
    (tmp_path / "examplebucket-1250000000").mkdir()
    with LocalCI(tmp_path, convert=converters) as server:
        yield server
        converters.let_go.set()


@pytest.fixture
def waiting(client: CIClient, fill_bucket: Fill) -> list[str]:
    """The ids of three document jobs and two picture jobs that wait because their queues are paused."""
    client.pause_doc_queue(client.list_doc_queues()[0].queue_id)
    client.pause_pic_queue(client.list_pic_queues()[0].queue_id)
    fill_bucket("a.docx", "a.png")
    docs = [client.submit_doc_job("a.docx", f"out/{n}.pdf", DocProcess(target="pdf")) for n in range(3)]
    rotate = PicProcess("imageMogr2/rotate/90")
    pics = [client.submit_pic_job("a.png", f"out/{n}.png", rotate) for n in range(2)]
    return [job.job_id for job in (*docs, *pics)]


def states(client: CIClient) -> list[JobState]:
    return [job.state for job in (*client.list_doc_jobs(), *client.list_pic_jobs())]


def test_named_jobs_are_cancelled_and_no_others(
    connection: dict[str, Any], client: CIClient, waiting: list[str]
) -> None:
    assert cancel(job_ids=[waiting[0], waiting[3], waiting[0]]) == {**NONE, "cancelled": 2}
    assert client.get_doc_job(waiting[0]).state is JobState.CANCEL
    assert client.get_pic_job(waiting[3]).state is JobState.CANCEL
    assert states(client).count(JobState.CANCEL) == 2


def test_what_cannot_be_cancelled_is_counted(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill, converters: HeldConverters
) -> None:
    converters.let_go.clear()
    fill_bucket("a.docx")
    fill_bucket("empty.png", content=b"")
    failed = client.submit_pic_job("empty.png", "out/e.png", PicProcess("imageMogr2/rotate/90")).job_id
    running = client.submit_doc_job("a.docx", "out/a.pdf", DocProcess(target="pdf")).job_id
    while client.get_doc_job(running).state is not JobState.RUNNING:
        time.sleep(0.05)
    while client.get_pic_job(failed).state is not JobState.FAILED:
        time.sleep(0.05)
    counts = cancel(job_ids=f"{running}, {failed}, {UNKNOWN}")
    assert counts == {"cancelled": 0, "running": 1, "ended": 1, "unknown": 1}


def test_a_cancelled_job_counts_as_cancelled_again(connection: dict[str, Any], waiting: list[str]) -> None:
    """Such a second cancellation happens when the response to the first one was lost."""
    cancel(job_ids=waiting[0])
    assert cancel(job_ids=waiting[0]) == {**NONE, "cancelled": 1}


@pytest.mark.parametrize(("kind", "count"), [("doc", 3), ("pic", 2)])
def test_all_that_waits_in_a_queue_is_cancelled_when_told_so(
    connection: dict[str, Any], client: CIClient, waiting: list[str], kind: str, count: int
) -> None:
    assert cancel(all_waiting_of=kind) == {**NONE, "cancelled": count}
    assert states(client).count(JobState.CANCEL) == count
    assert cancel(all_waiting_of=kind) == NONE


def test_only_the_named_queue_is_emptied(
    connection: dict[str, Any], client: CIClient, waiting: list[str]
) -> None:
    assert cancel(all_waiting_of="doc", queue_id=client.list_doc_queues()[0].queue_id)["cancelled"] == 3
    assert cancel(all_waiting_of="pic", queue_id="pother") == NONE


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "job_ids is empty"),
        ({"job_ids": ""}, "job_ids is empty"),
        ({"job_ids": "d1", "all_waiting_of": "doc"}, "not both"),
        ({"all_waiting_of": "all"}, "one of doc, pic, not 'all'"),
        ({"job_ids": {"total": 3}}, "cannot read a job id"),
    ],
)
def test_it_must_be_clear_which_jobs_are_meant(
    connection: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        cancel(**options)


def test_one_bad_id_among_others_cancels_nothing(
    connection: dict[str, Any], client: CIClient, waiting: list[str]
) -> None:
    with pytest.raises(ValueError, match="no-job-id"):
        cancel(job_ids=[*waiting, "no-job-id!"])
    assert JobState.CANCEL not in states(client)


def test_no_job_at_all_is_nothing_to_do(connection: dict[str, Any]) -> None:
    """The task before it may have had no jobs; an empty list must never mean all jobs."""
    assert cancel(job_ids=[]) == NONE


def test_a_key_that_may_not_cancel_fails_the_task(
    connection: dict[str, Any], waiting: list[str], local_ci: LocalCI
) -> None:
    local_ci.faults.add("error", status=403, code="AccessDenied", method="PUT", count=9)
    with pytest.raises(AccessDeniedError, match="AccessDenied"):
        cancel(job_ids=waiting[0])


def test_it_takes_the_result_of_another_task(run_dag: RunDag, client: CIClient, waiting: list[str]) -> None:
    result = run_dag("""
from airflow.sdk import DAG
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import CICancelJobsOperator, CIDocProcessOperator

with DAG(DAG_ID, schedule=None) as dag:
    submit = CIDocProcessOperator(task_id="submit", input_key="a.docx", output_key="out/x.pdf",
        operation=DocProcess(target="pdf"), wait_for_completion=False)
    CICancelJobsOperator(task_id="cancel", job_ids=submit.output)
""")
    assert result.results["cancel"] == {**NONE, "cancelled": 1}
    assert client.get_doc_job(result.results["submit"]["job_id"]).state is JobState.CANCEL
    assert states(client).count(JobState.CANCEL) == 1
