from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from airflow_provider_ci.batch import BatchFailedError, BatchSummary, FailureGroup
from airflow_provider_ci.batch.limits import FailureLimit


@pytest.mark.parametrize(
    ("limit", "failed", "total", "allowed"),
    [
        (0, 0, 10, True),
        (0, 1, 10, False),
        ("3", 3, 10, True),
        (3, 4, 10, False),
        ("10%", 1, 10, True),
        ("10%", 1, 9, False),
        ("2.5%", 25, 1000, True),
        ("0%", 0, 0, True),
        ("100%", 10, 10, True),
        ("0.57%", 57, 10_000, True),
        ("0.57%", 58, 10_000, False),
    ],
)
def test_limits(limit: int | str, failed: int, total: int, allowed: bool) -> None:
    assert FailureLimit.parse(limit).allows(failed, total) is allowed


@pytest.mark.parametrize("limit", [-1, "-1", "101%", "x", "", "5 percent", "%", 1.5])
def test_a_limit_that_makes_no_sense_is_refused(limit: int | str) -> None:
    with pytest.raises(ValueError, match="max_failures must be a number of objects or a percentage"):
        FailureLimit.parse(limit)


def test_the_error_names_failures_and_report_and_can_be_pickled() -> None:
    summary = replace(
        BatchSummary.empty("b", "_ci_batches/b/report.jsonl"),
        total=9,
        succeeded=6,
        failed=2,
        unfinished=1,
        seconds=1.0,
        failures=(FailureGroup(code="Broken", count=2, example="in/a.docx: Broken: cannot be opened"),),
    )
    error = pickle.loads(pickle.dumps(BatchFailedError(summary, FailureLimit(count=1))))
    assert str(error) == (
        "2 failed, 1 unfinished of 9 objects (allowed: 1): "
        "2 × Broken, e.g. in/a.docx: Broken: cannot be opened. "
        "Report: _ci_batches/b/report.jsonl; batch b. "
        "A retry submits only the objects that can still succeed"
    )
    assert error.summary == summary
