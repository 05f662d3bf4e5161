from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import BatchSummary, ObjectState, ObjectVerdict, read_report
from airflow_provider_ci.batch.plan import PlannedJob
from airflow_provider_ci.batch.report import Report, path_safe, verdict_of_job
from airflow_provider_ci.client import (
    CIClient,
    Credentials,
    DocProcessResult,
    Job,
    JobState,
    PageInfo,
    PicProcessResult,
    RetryPolicy,
)
from airflow_provider_ci.local import LocalCI


def verdict(key: str, state: ObjectState = ObjectState.SUCCEEDED, **values: Any) -> ObjectVerdict:
    return ObjectVerdict(key=key, state=state, output_key=f"out/{key}", **values)


def write(client: CIClient, *verdicts: ObjectVerdict) -> BatchSummary:
    with Report(client, "b", prefix="reports/") as report:
        for each in verdicts:
            report.add(each)
        return report.finish()


def test_what_is_written_is_read(client: CIClient) -> None:
    verdicts = [
        verdict("a", job_id="d1", first_output="out/a", outputs=1, pages=3, attempts=1),
        verdict(
            "b", ObjectState.FAILED, code="Broken", message="cannot be opened", request_id="r", attempts=2
        ),
        verdict("c", ObjectState.SKIPPED),
        verdict("d", ObjectState.CANCELLED, job_id="d2", attempts=1),
        verdict("e", ObjectState.UNFINISHED),
    ]
    summary = write(client, *verdicts)
    assert read_report(client, summary.report_key) == verdicts
    counts = [summary.succeeded, summary.failed, summary.skipped, summary.cancelled, summary.unfinished]
    assert counts == [1, 1, 1, 1, 1]
    assert summary.total == 5


@pytest.mark.parametrize("key", ["a\u2028b", "a\u0085b", "a\u2029b", "a\nb", "a\rb", '"', "合同 草案", "😀"])
def test_a_key_may_hold_any_character(client: CIClient, key: str) -> None:
    summary = write(client, verdict(key), verdict("next"))
    assert [found.key for found in read_report(client, summary.report_key)] == [key, "next"]


def test_the_first_objects_without_a_good_end_are_named(client: CIClient) -> None:
    summary = write(
        client,
        verdict("good"),
        verdict("skipped", ObjectState.SKIPPED),
        verdict("late", ObjectState.UNFINISHED),
        verdict("ended", ObjectState.CANCELLED),
        verdict("bad", ObjectState.FAILED, code="Broken", message="x" * 1000),
        verdict("fourth", ObjectState.FAILED),
    )
    late, ended, bad = summary.first_failures
    assert (late, ended) == ("late: unfinished", "ended: cancelled")
    assert bad.startswith("bad: Broken: xxx")
    assert len(bad) <= 210


def test_the_summary_survives_the_way_through_json(client: CIClient) -> None:
    summary = write(client, verdict("late", ObjectState.UNFINISHED))
    assert BatchSummary.from_json(json.loads(json.dumps({**summary.to_json(), "new": 1}))) == summary


def test_a_report_of_a_later_version_is_refused(client: CIClient) -> None:
    client.put_object("r.jsonl", b'{"version": 2}\n')
    with pytest.raises(ValueError, match="version 2; this package reads version 1"):
        read_report(client, "r.jsonl")


def ended(state: JobState, **values: Any) -> ObjectVerdict:
    job = Job(
        job_id="d1",
        tag="DocProcess",
        state=state,
        created_at=datetime.now(timezone.utc),
        request_id="r",
        **values,
    )
    return verdict_of_job(PlannedJob(key="a", size=1, etag="e", output_key="o"), job, attempts=1)


def test_a_failed_job_gives_its_code_message_and_request_id() -> None:
    found = ended(JobState.FAILED, code="Broken", message="cannot be opened")
    assert (found.state, found.code, found.message) == (ObjectState.FAILED, "Broken", "cannot be opened")
    assert found.request_id == "r"
    assert found.reason == "Broken: cannot be opened"


@pytest.mark.parametrize("state", [JobState.CANCEL, JobState.SUCCESS])
def test_the_word_success_is_nobodys_reason(state: JobState) -> None:
    """The service gives the code Success to every job that has not failed, a cancelled one too."""
    found = ended(state, code="Success", message="Success")
    assert (found.code, found.message) == ("", "")


def test_pages_that_failed_are_counted() -> None:
    result = DocProcessResult(
        total_page_count=3,
        succ_page_count=2,
        fail_page_count=1,
        total_sheet_count=0,
        pages=(PageInfo(page_no=1, key="o/1"), PageInfo(page_no=2, key="o/2")),
    )
    found = ended(JobState.SUCCESS, result=result)
    assert (found.outputs, found.pages, found.failed_pages, found.first_output) == (2, 3, 1, "o/1")


def test_a_pictures_size_is_noted() -> None:
    found = ended(JobState.SUCCESS, result=PicProcessResult(key="o", size=7))
    assert (found.first_output, found.output_size) == ("o", 7)


@pytest.mark.parametrize(
    ("batch_id", "safe"),
    [
        ("dag/task/manual__2026-11-21T00:00:00+00:00", "dag/task/manual__2026-11-21T00-00-00-00-00"),
        ("转换/合同", "转换/合同"),
        ("/a b/", "a-b"),
    ],
)
def test_batch_ids_become_keys(batch_id: str, safe: str) -> None:
    assert path_safe(batch_id) == safe


@pytest.mark.parametrize("batch_id", ["", "/", "x" * 850, "合" * 300])
def test_a_batch_id_that_cannot_name_a_report_is_refused_before_the_work(
    client: CIClient, batch_id: str
) -> None:
    with pytest.raises(ValueError, match="batch_id"):
        Report(client, batch_id, prefix="reports/")


def test_a_report_that_cannot_be_written_hides_no_other_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "examplebucket-1250000000").mkdir()
    with LocalCI(tmp_path, convert="instant") as server:
        credentials = Credentials(secret_id=server.secret_id, secret_key=server.secret_key)
    client = CIClient(
        credentials,
        "ap-guangzhou",
        "examplebucket-1250000000",
        endpoint=server.endpoint,
        retry=RetryPolicy(max_attempts=1),
    )
    with client, Report(client, "b", prefix="reports/") as report:
        report.finish_early()
    assert "its report is lost" in caplog.text
