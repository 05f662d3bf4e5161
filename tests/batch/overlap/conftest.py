"""Objects and outputs of batches that overlap."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_provider_ci.batch import Batch, BatchSummary

Make = Callable[..., Batch]


@pytest.fixture
def batch(batch: Make) -> Make:
    """Makes a batch; its output names are the same for a selection and for a list of keys."""
    return lambda *arguments, **options: batch(*arguments, **{"output": "out/{stem}.pdf", **options})


def keys(count: int, begin: int = 0) -> list[str]:
    return [f"in/{number:03}.docx" for number in range(begin, begin + count)]


def outputs(*objects: str) -> dict[str, int]:
    return {f"out/{key[3:-5]}.pdf": 1 for key in objects}


def total_of(summary: BatchSummary) -> tuple[int, int]:
    return summary.total, summary.succeeded + summary.skipped
