"""The sentences in which a page states the outcome of a batch and what clearing the task would do."""

# ruff: noqa: E501 - a sentence is easier to check on one line

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_ci.batch import BatchSummary
from airflow_provider_ci.plugin.numbers import Numbers, numbers_of
from airflow_provider_ci.plugin.recorded import TaskBatch, TaskName
from airflow_provider_ci.plugin.words import after_clear, verdict
from airflow_provider_ci.tasks.batch_page import BatchRecord

NOW = datetime(2026, 11, 27, tzinfo=timezone.utc)
EMPTY = {"succeeded": 0, "failed": 0, "skipped": 0, "cancelled": 0, "unfinished": 0}


def batch(state: str, summary: dict[str, Any] | None = None, **record: Any) -> TaskBatch:
    known = {"conn_id": "c", "bucket": "b-1", "region": "r", "folder": "x.ci-batch/", "batch_id": "x"}
    ended = None
    if summary is not None:
        counts = {**EMPTY, **{name: number for name, number in summary.items() if name in EMPTY}}
        others = {name: number for name, number in summary.items() if name not in EMPTY}
        total = sum(counts.values())
        ended = BatchSummary(batch_id="x", total=total, seconds=10.0, report_key="r", **counts, **others)
    return TaskBatch(
        name=TaskName(dag_id="d", run_id="r", task_id="t"),
        state=state,
        try_number=1,
        started_at=NOW,
        ended_at=NOW,
        record=BatchRecord(**{**known, **record}),
        recorded_at=NOW,
        summary=ended,
        preview=None,
        progress=None,
        progress_at=None,
    )


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (batch("success", {"succeeded": 1}), "The object is done: 1 made in this run."),
        (batch("success", {"succeeded": 4000, "skipped": 1000}), "All 5,000 objects are done: 4,000 made in this run, 1,000 up to date already."),
        (batch("failed", {"failed": 3, "unfinished": 2, "succeeded": 5}, allowed="5%"), "3 of 10 objects failed, 2 did not finish; 5 made in this run. At most 5% may fail, so the task failed."),
        (batch("failed", {"failed": 600, "stopped_early": True}), "600 of 600 objects failed; none is done. None may fail, so the task failed. So many failed that the rest was not submitted."),
        (batch("success", {}), "The source has no objects, so nothing was done."),
        (batch("failed"), "The task failed before its batch ended; its log says why."),
        (batch("running"), "The objects are being listed and planned; nothing is submitted yet."),
        (batch("running", plan_only=True), "The objects are being listed and planned; nothing will be submitted."),
    ],
)  # fmt: skip
def test_verdicts(found: TaskBatch, sentence: str) -> None:
    assert verdict(found, numbers_of(found)) == sentence


def test_a_batch_between_two_tries_says_that_it_resumes() -> None:
    numbers = Numbers(total=10, succeeded=4, failed=1)
    found = "The last try ended early: 5 of 10 objects have a result, 1 of them failed. The next try resumes the batch."
    assert verdict(batch("up_for_retry"), numbers) == found


@pytest.mark.parametrize(
    ("found", "sentences"),
    [
        (batch("failed", {"failed": 3, "retryable": 3, "succeeded": 7}), "Clearing the task re-runs only these 3, which failed for a reason that can pass, and objects that have changed since. The 7 outputs that are done stay."),
        (batch("failed", {"failed": 3, "retryable": 1, "unfinished": 2}), "Clearing the task re-runs only these 3 (1 failed for a reason that can pass, 2 did not finish) and objects that have changed since. 2 objects failed for a reason that does not pass: a job is submitted again only when the content changes, or with retry_failed=True."),
        (batch("failed", {"failed": 2}, retry_failed=True), "Clearing the task re-runs only these 2, because retry_failed is set, and objects that have changed since."),
        (batch("success", {"succeeded": 1}), "Clearing the task submits nothing again, except objects that have changed since. The output that is done stays."),
        (batch("success", {"succeeded": 2}, skip="never"), "Clearing the task makes all 2 objects again, because skip is 'never'."),
        (batch("running", {"succeeded": 2}), ""),
    ],
)  # fmt: skip
def test_what_clearing_would_do(found: TaskBatch, sentences: str) -> None:
    assert after_clear(found) == sentences
