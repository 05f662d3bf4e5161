from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_ci.batch import BatchSummary, ObjectResult, ObjectState, read_report
from airflow_provider_ci.batch.ledger.records import RecordWriter
from airflow_provider_ci.batch.reports.folder import batch_folder
from airflow_provider_ci.batch.reports.reading import read_report_header
from airflow_provider_ci.batch.reports.writing import write_report
from airflow_provider_ci.client import CIClient

EMPTY = replace(BatchSummary.empty("b"), seconds=60, jobs=3)


def verdict(key: str, state: ObjectState = ObjectState.SUCCEEDED, **values: Any) -> ObjectResult:
    return ObjectResult(key=key, state=state, output_key=f"out/{key}", **values)


def write(client: CIClient, *verdicts: ObjectResult) -> BatchSummary:
    return write_report(
        RecordWriter(client=client),
        "reports/b/",
        plan="token",
        is_complete=lambda: True,
        results=verdicts,
        summary=EMPTY,
    )


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
    assert list(read_report(client, summary.report_key)) == verdicts
    counts = [summary.succeeded, summary.failed, summary.skipped, summary.cancelled, summary.unfinished]
    assert counts == [1, 1, 1, 1, 1]
    assert summary.total == 5


@pytest.mark.parametrize("key", ["a\u2028b", "a\u0085b", "a\u2029b", "a\nb", "a\rb", '"', "合同 草案", "😀"])
def test_a_key_may_hold_any_character(client: CIClient, key: str) -> None:
    summary = write(client, verdict(key), verdict("next"))
    assert [found.key for found in read_report(client, summary.report_key)] == [key, "next"]


def test_failures_are_grouped_by_code_with_an_example(client: CIClient) -> None:
    summary = write(
        client,
        verdict("good"),
        verdict("skipped", ObjectState.SKIPPED),
        verdict("late", ObjectState.UNFINISHED),
        verdict("ended", ObjectState.CANCELLED),
        verdict("bad", ObjectState.FAILED, code="Broken", message="x" * 1000),
        verdict("worse", ObjectState.FAILED, code="Broken", message="y"),
    )
    broken, cancelled = summary.failures
    assert (broken.code, broken.count, cancelled.count) == ("Broken", 2, 1)
    assert cancelled.example == "ended: cancelled"
    assert broken.example.startswith("bad: Broken: xxx")
    assert len(broken.example) <= 210
    assert summary.first_failures == (broken.example, cancelled.example)


def test_the_summary_survives_the_way_through_json(client: CIClient) -> None:
    summary = write(client, verdict("late", ObjectState.UNFINISHED))
    assert BatchSummary.from_json(json.loads(json.dumps({**summary.to_json(), "new": 1}))) == summary


@pytest.mark.parametrize("version", [1, 3])
def test_a_report_of_another_version_is_refused(client: CIClient, version: int) -> None:
    header = {"version": version, "kind": "report"}
    client.put_object("b/report.jsonl", json.dumps(header).encode())
    with pytest.raises(ValueError, match=f"version {version}; this package reads version 2"):
        list(read_report(client, "b/report.jsonl"))
    with pytest.raises(ValueError, match=f"version {version}; this package reads version 2"):
        read_report_header(client, "b/")


def test_no_report_has_no_header(client: CIClient) -> None:
    assert read_report_header(client, "b/") is None


def test_results_in_several_parts_are_read_in_order(
    client: CIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ci.batch.reports.writing.PART_BYTES", 300)
    verdicts = [verdict(f"{number:03}", ObjectState.FAILED, code="Broken") for number in range(50)]
    summary = write(client, *verdicts)
    assert list(read_report(client, summary.report_key)) == verdicts
    assert list(read_report(client, "reports/b/failures.jsonl")) == verdicts
    header = read_report_header(client, "reports/b/")
    assert header is not None
    assert (header.plan, header.summary, len(header.parts) > 3) == ("token", summary, True)


def test_what_came_to_no_good_end_stands_in_a_list_of_its_own(client: CIClient) -> None:
    bad = [verdict("b", ObjectState.FAILED), verdict("d", ObjectState.UNFINISHED)]
    write(client, verdict("a"), bad[0], verdict("c", ObjectState.SKIPPED), bad[1])
    assert list(read_report(client, "reports/b/failures.jsonl")) == bad


def test_the_summary_says_what_it_took(client: CIClient) -> None:
    summary = write(
        client, verdict("a", size=5), verdict("b", size=7), verdict("c", ObjectState.UNFINISHED, size=100)
    )
    assert (summary.jobs, summary.input_bytes) == (3, 12)
    assert summary.seconds == 60


@pytest.mark.parametrize(
    ("batch_id", "begin"),
    [
        ("dag/task/manual__2026-11-21T00:00:00+00:00", "dag/task/manual__2026-11-21T00-00-00-00-00"),
        ("转换/合同", "转换/合同"),
        ("/a b/", "a-b"),
    ],
)
def test_batch_ids_can_be_read_in_their_folders(batch_id: str, begin: str) -> None:
    assert batch_folder("reports/", batch_id).startswith(f"reports/{begin}-")


@pytest.mark.parametrize("batch_id", ["", "/", "x" * 850, "合" * 300])
def test_a_batch_id_that_cannot_name_a_folder_is_refused(batch_id: str) -> None:
    with pytest.raises(ValueError, match="batch_id"):
        batch_folder("reports/", batch_id)
