"""Batches over the local CI, what they leave there, and how they die."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, ObjectSelection, ObjectResult, Pace, read_report
from airflow_provider_ci.client import CIClient, Credentials, DocProcess, JobState, RetryPolicy
from airflow_provider_ci.local import LocalCI

INBOX = ObjectSelection(prefix="in/")
PDF = DocProcess(target="pdf")
FAST = Pace(shortest=0.02, longest=0.1)
DEAD = (JobState.CANCEL, JobState.FAILED)


@pytest.fixture
def batch() -> Callable[..., Batch]:
    """Makes a batch of the objects in ``in/``; each of its parts can be another."""

    def make(client: CIClient, source: Any = INBOX, operation: Any = PDF, **options: Any) -> Batch:
        output = options.pop("output", "out/{dir}{stem}.pdf")
        arguments = {"batch_id": "test", "pace": replace(FAST), **options}
        return Batch(client, source, operation, output, **arguments)

    return make


@pytest.fixture
def client_of() -> Callable[..., CIClient]:
    """Makes a client of a local CI that soon gives up."""

    def make(server: LocalCI, *, bucket: str = "examplebucket-1250000000", **options: Any) -> CIClient:
        credentials = Credentials(
            secret_id=server.secret_id, secret_key=options.pop("secret_key", None) or server.secret_key
        )
        defaults = {"retry": RetryPolicy(max_attempts=2, max_seconds=1, first_wait_seconds=0.05)}
        return CIClient(
            credentials, "ap-guangzhou", bucket, endpoint=server.endpoint, **{**defaults, **options}
        )

    return make


@pytest.fixture
def live_jobs() -> Callable[[CIClient], Counter[str]]:
    """Counts the jobs that are neither cancelled nor failed, by the key of their object."""

    def count(client: CIClient) -> Counter[str]:
        jobs = (*client.list_doc_jobs(), *client.list_pic_jobs())
        return Counter(job.input_key for job in jobs if job.state not in DEAD)

    return count


@pytest.fixture
def job_count() -> Callable[[CIClient], int]:
    """Counts all document jobs."""
    return lambda client: len(list(client.list_doc_jobs()))


@pytest.fixture
def verdicts() -> Callable[[CIClient, str], dict[str, ObjectResult]]:
    """Reads a report: each object's verdict, of which there must be one."""

    def read(client: CIClient, report_key: str = "_ci_batches/test/report.jsonl") -> dict[str, ObjectResult]:
        found = list(read_report(client, report_key))
        by_key = {verdict.key: verdict for verdict in found}
        assert len(by_key) == len(found), "an object stands in the report twice"
        return by_key

    return read


@pytest.fixture
def end_leases(bucket: Path) -> Callable[[], None]:
    """Makes all leases look as if their holders had died an hour ago."""

    def end() -> None:
        for path in bucket.glob("_ci_batches/*/lease/*"):
            os.utime(path, (0, 0))

    return end
