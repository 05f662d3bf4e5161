"""A preview says what a batch would do, before the batch costs anything."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import (
    Batch,
    BatchFailedError,
    ObjectSelection,
    OutputTemplateError,
    PriceTable,
)
from airflow_provider_ci.client import CIClient, PicProcess

MakeBatch = Callable[..., Batch]
Fill = Callable[..., None]


def snapshot(bucket: Path) -> dict[str, float]:
    return {str(path): path.stat().st_mtime for path in bucket.rglob("*") if path.is_file()}


def test_a_preview_counts_and_leaves_no_trace(
    client: CIClient, batch: MakeBatch, fill_bucket: Fill, bucket: Path, job_count: Callable[[CIClient], int]
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    fill_bucket("in/bad.docx", content=b"")
    with pytest.raises(BatchFailedError):
        batch(client).run()
    fill_bucket("in/new.docx", content=b"twelve bytes")
    before, jobs = snapshot(bucket), job_count(client)
    preview = batch(client).preview()
    assert (snapshot(bucket), job_count(client)) == (before, jobs)
    counted = (preview.objects, preview.up_to_date, preview.failed_before, preview.jobs, preview.bytes)
    assert counted == (4, 2, 1, 1, 12)
    assert not preview.continues
    assert json.loads(json.dumps(preview.to_json())) == preview.to_json()
    assert pickle.loads(pickle.dumps(preview)) == preview


def test_a_preview_says_what_is_left_out(client: CIClient, batch: MakeBatch, fill_bucket: Fill) -> None:
    fill_bucket("a.docx", "out/old.pdf", "out/older.pdf")
    batch(client, ["a.docx"], output="elsewhere/{stem}.pdf").run()
    preview = batch(
        client, ObjectSelection(suffixes=[".docx", ".pdf", ".jsonl", ".json"]), batch_id="next"
    ).preview()
    assert preview.left_out["own outputs"] == 2
    assert preview.left_out["ledger"] >= 3
    assert "2 left out: own outputs" in preview.lines()


def test_the_estimate_follows_from_the_price_table(
    client: CIClient, batch: MakeBatch, fill_bucket: Fill
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(10)))
    assert batch(client).preview().cost is None
    prices = PriceTable(currency="EUR", per_1000_pages=50, pages_per_document=4, per_10000_requests=0,
                        seconds_per_job=36, concurrency=5)  # fmt: skip
    preview = batch(client).preview(prices)
    assert (preview.cost, preview.currency, preview.hours) == (2.0, "EUR", 0.02)
    assert batch(client).preview(replace(prices, concurrency=None)).hours is not None  # read from the queue
    assert "about 2.00 EUR and 0.0 hours; an estimate, check your contract" in preview.lines()


def test_pictures_cost_by_their_size(client: CIClient, batch: MakeBatch, fill_bucket: Fill) -> None:
    fill_bucket("in/a.png", content=b"x" * 1024)
    made = batch(client, operation=PicProcess("imageMogr2/rotate/90"), output="out/{stem}.png")
    prices = PriceTable(per_gb_of_pictures=1024**2, per_10000_requests=0)
    assert made.preview(prices).cost == 1.0


def test_the_preview_of_a_batch_that_would_continue_counts_what_is_left(
    client: CIClient, batch: MakeBatch, fill_bucket: Fill
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(6)))
    with pytest.raises(BatchFailedError):
        batch(client, max_jobs=2).run()
    preview = batch(client, max_jobs=2).preview()
    assert (preview.continues, preview.objects, preview.jobs, preview.finished) == (True, 6, 4, 2)
    assert "(max_jobs: 2)" in "\n".join(preview.lines())


def test_an_unusable_template_is_an_error_of_the_preview_too(
    client: CIClient, batch: MakeBatch, fill_bucket: Fill
) -> None:
    fill_bucket("in/a.docx", "in/a.txt")
    with pytest.raises(OutputTemplateError, match="would both write"):
        batch(client).preview()


@pytest.mark.parametrize(
    "arguments", [{"per_1000_pages": -1}, {"seconds_per_job": "slow"}, {"per_gb_of_pictures": float("nan")}]
)
def test_what_is_no_price_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        PriceTable(**arguments)
