from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import (
    Batch,
    ObjectResult,
    ObjectSelection,
    ObjectState,
    Progress,
    read_report,
)
from airflow_provider_ci.client import (
    CIClient,
)
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import REPORT

Fill = Callable[..., None]
Make = Callable[..., Batch]
Connect = Callable[..., CIClient]
Count = Callable[[CIClient], int]
Results = Callable[..., dict[str, ObjectResult]]


def test_every_object_gets_a_job_an_output_and_a_result(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make, results: Results, job_count: Count
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(25)))
    summary = batch(client).run()
    assert (summary.total, summary.succeeded, summary.failed) == (25, 25, 0)
    report = results(client, summary.report_key)
    assert len(report) == 25
    assert {verdict.state for verdict in report.values()} == {ObjectState.SUCCEEDED}
    assert report["in/7.docx"].pages == 1
    assert all((bucket / f"out/{number}.pdf").read_bytes().startswith(b"%PDF") for number in range(25))
    assert job_count(client) == 25


def test_an_empty_listing_is_an_empty_report(client: CIClient, batch: Make) -> None:
    summary = batch(client).run()
    assert summary.total == 0
    assert list(read_report(client, summary.report_key)) == []


def test_the_report_begins_with_the_summary(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make
) -> None:
    fill_bucket("in/a.docx")
    summary = batch(client).run()
    stored = json.loads((bucket / REPORT).read_text().splitlines()[0])
    assert (stored["version"], stored["is_complete"]) == (2, True)
    assert stored["summary"] == summary.to_json()


def test_a_second_run_does_only_what_is_missing(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make, job_count: Count
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    batch(client).run()
    (bucket / "out/b.pdf").unlink()
    summary = batch(client).run()
    assert (summary.succeeded, summary.skipped) == (1, 1)
    assert job_count(client) == 3


def test_keys_with_blanks_signs_and_chinese_characters(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make
) -> None:
    keys = [
        "in/a b.docx",
        "in/offer 50%+tax.docx",
        "in/合同 草案.docx",
        "in/100%41.docx",
        "in/a&b=c?d#e.docx",
    ]
    fill_bucket(*keys)
    summary = batch(client).run()
    assert summary.succeeded == len(keys)
    assert sorted(path.name for path in (bucket / "out").iterdir()) == sorted(
        Path(key).with_suffix(".pdf").name for key in keys
    )


def test_the_window_is_never_exceeded(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket(*(f"in/{number:02}.docx" for number in range(30)))
    seen: list[Progress] = []
    summary = batch(client, max_in_flight=4, progress=seen.append).run()
    assert summary.succeeded == 30
    assert max(progress.in_flight for progress in seen) <= 4
    assert seen[-1].finished == seen[-1].total == 30


def test_a_full_queue_is_waited_out(
    tmp_path: Path, batch: Make, job_count: Count, client_of: Connect
) -> None:
    root = tmp_path / "small"
    (root / "examplebucket-1250000000" / "in").mkdir(parents=True)
    for number in range(12):
        (root / "examplebucket-1250000000" / "in" / f"{number}.docx").write_text("text")
    with (
        LocalCI(root, convert="instant", queue_size=2, queue_concurrency=1) as server,
        client_of(server) as client,
    ):
        summary = batch(client).run()
        assert summary.succeeded == 12
        assert job_count(client) == 12


def test_a_generator_of_keys_is_read_once_and_each_key_taken_once(
    client: CIClient, fill_bucket: Fill, batch: Make, job_count: Count
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    twice = batch(client, (key for key in ("in/a.docx", "in/b.docx", "in/a.docx")))
    assert twice.run().succeeded == 2
    assert twice.run().skipped == 2
    assert job_count(client) == 2


@pytest.mark.parametrize("source", [None, 5, "in/", {"job_id": "d1"}])
def test_what_is_no_source_is_refused_before_anything_is_asked(
    client: CIClient, source: Any, batch: Make
) -> None:
    with pytest.raises(ValueError, match="source is an ObjectSelection or a list of object keys"):
        batch(client, source)


def test_the_reports_of_earlier_batches_are_no_objects(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("a.docx", "_ci_batches/old/report.jsonl", "_ci_batches/old/failures.jsonl")
    assert batch(client, ObjectSelection()).run().total == 1


def test_the_time_left_is_not_judged_by_what_was_skipped() -> None:
    now = Progress(total=1010, finished=1005, skipped=1000, failed=0, in_flight=5, seconds=10)
    assert now.seconds_left == 10
    assert Progress(total=5, finished=4, skipped=4, failed=0, in_flight=1, seconds=1).seconds_left is None
