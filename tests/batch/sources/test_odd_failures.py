"""Failures as a source, from batches that are running, never ran, have steps, or have a damaged report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, BatchFailedError, NoReportError, failures_of
from airflow_provider_ci.client import CIClient, CIError
from tests.batch.conftest import PowerCut, dies, pause
from tests.batch.costs.work import CHAIN

Fill = Callable[..., None]
Make = Callable[..., Batch]


@pytest.fixture
def failed(client: CIClient, batch: Make, fill_bucket: Fill) -> Batch:
    fill_bucket("in/0.docx", "in/2.docx")
    fill_bucket("in/1.docx", "in/3.docx", content=b"")
    made = batch(client, max_failures="100%")
    made.run()
    return made


def keys(client: CIClient, source: Any) -> list[str]:
    return sorted(each.key for each in source.objects(client))


def report_of(bucket: Path, name: str) -> Path:
    (path,) = bucket.glob(f"_ci_batches/test*/{name}")
    return path


def test_a_batch_that_runs_for_the_first_time_has_no_failures_yet(
    client: CIClient, batch: Make, fill_bucket: Fill
) -> None:
    fill_bucket("in/0.docx")
    resume = pause(client)
    with pytest.raises(PowerCut):
        batch(client, progress=dies(1)).run()
    with pytest.raises(NoReportError, match="or wait until the run has ended"):
        batch(client, failures_of("test"), batch_id="next").run()
    resume()


def test_a_batch_that_runs_again_has_the_failures_of_its_last_report(
    client: CIClient, batch: Make, failed: Batch, fill_bucket: Fill
) -> None:
    fill_bucket("in/4.docx")
    with suppress(PowerCut):
        batch(client, progress=dies(1)).run()
    assert keys(client, failures_of("test")) == ["in/1.docx", "in/3.docx"]


def test_unfinished_objects_are_failures_too(client: CIClient, batch: Make, fill_bucket: Fill) -> None:
    fill_bucket("in/0.docx", "in/1.docx", "in/2.docx")
    with pytest.raises(BatchFailedError):
        batch(client, max_jobs=1).run()
    assert keys(client, failures_of("test")) == ["in/1.docx", "in/2.docx"]
    assert keys(client, failures_of("test", states=["failed"])) == []
    assert batch(client, failures_of("test", prefix="in/"), batch_id="next").run().succeeded == 2


def test_an_object_fails_with_any_of_its_steps(client: CIClient, batch: Make, fill_bucket: Fill) -> None:
    fill_bucket("in/0.docx", "in/1.docx")
    fill_bucket("in/2.docx", content=b"")
    steps: dict[str, Any] = {"operation": None, "output": "", "operations": CHAIN}
    with pytest.raises(BatchFailedError):
        batch(client, **steps).run()
    assert keys(client, failures_of("test")) == ["in/2.docx"]
    fill_bucket("in/2.docx")
    summary = batch(client, failures_of("test"), batch_id="next", **steps).run()
    assert (summary.total, summary.jobs) == (1, 3)


DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "empty": ("report.jsonl", lambda body: b"", "report.jsonl' is damaged"),
    "no text": ("report.jsonl", lambda body: b"\x00\xff\n", "report.jsonl' is damaged"),
    "another file": ("report.jsonl", lambda body: b'{"a": 1}\n', "report.jsonl' has version None"),
    "a newer one": (
        "report.jsonl", lambda body: body.replace(b'"version": 2', b'"version": 9', 1), "has version 9; this"
    ),
    "cut off failures": ("failures.jsonl", lambda body: body[:-20], "failures.jsonl' is damaged in line"),
    "failures of no text": ("failures.jsonl", lambda body: b"\xff\n", "is damaged in line 1"),
    "a failure without a state": ("failures.jsonl", lambda body: b'{"key": "a"}\n', "is damaged in line 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_report_is_named_before_anything_is_submitted(
    name: str,
    client: CIClient,
    batch: Make,
    failed: Batch,
    bucket: Path,
    job_count: Callable[[CIClient], int],
) -> None:
    file, damage, words = DAMAGES[name]
    path, jobs = report_of(bucket, file), job_count(client)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises((ValueError, CIError), match=words):
        batch(client, failures_of("test"), batch_id="next", retry_failed=True).run()
    assert job_count(client) == jobs


def test_a_missing_part_of_a_report_is_named(
    client: CIClient, batch: Make, failed: Batch, bucket: Path, job_count: Callable[[CIClient], int]
) -> None:
    jobs = job_count(client)
    report_of(bucket, "failures.jsonl").unlink()
    with pytest.raises((ValueError, CIError), match=r"failures\.jsonl"):
        batch(client, failures_of("test"), batch_id="next", retry_failed=True).run()
    assert job_count(client) == jobs
