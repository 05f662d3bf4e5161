from __future__ import annotations

import json
import time
from typing import Any

import pytest

from airflow_provider_ci.batch import BatchSummary, ObjectResult, ObjectState, read_report
from airflow_provider_ci.batch.report import batch_folder, path_safe, write_report
from airflow_provider_ci.client import CIClient


def verdict(key: str, state: ObjectState = ObjectState.SUCCEEDED, **values: Any) -> ObjectResult:
    return ObjectResult(key=key, state=state, output_key=f"out/{key}", **values)


def write(client: CIClient, *verdicts: ObjectResult) -> BatchSummary:
    return write_report(
        client, "reports/b/", batch_id="b", verdicts=verdicts, jobs=3, started_at=time.time() - 60
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
        list(read_report(client, "r.jsonl"))


def test_what_came_to_no_good_end_stands_in_a_list_of_its_own(client: CIClient) -> None:
    bad = [verdict("b", ObjectState.FAILED), verdict("d", ObjectState.UNFINISHED)]
    write(client, verdict("a"), bad[0], verdict("c", ObjectState.SKIPPED), bad[1])
    assert list(read_report(client, "reports/b/failures.jsonl")) == bad


def test_the_summary_says_what_it_took(client: CIClient) -> None:
    summary = write(
        client, verdict("a", size=5), verdict("b", size=7), verdict("c", ObjectState.UNFINISHED, size=100)
    )
    assert (summary.jobs, summary.input_bytes) == (3, 12)
    assert 60 <= summary.seconds < 90
    stored = json.loads(client.read_object("reports/b/summary.json"))
    assert stored == {"version": 1, **summary.to_json()}


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
def test_a_batch_id_that_cannot_name_a_folder_is_refused(batch_id: str) -> None:
    with pytest.raises(ValueError, match="batch_id"):
        batch_folder("reports/", batch_id)
