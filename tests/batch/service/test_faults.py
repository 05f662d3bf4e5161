"""Batches while requests fail, responses are lost, or the service is unavailable."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import (
    Batch,
    Progress,
)
from airflow_provider_ci.client import (
    CIClient,
    CIConnectionError,
    RetryPolicy,
    SubmissionUnknownError,
)
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert import DocumentResult, InstantConverters

Fill = Callable[..., None]
Make = Callable[..., Batch]
Connect = Callable[..., CIClient]
Count = Callable[[CIClient], int]


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "error", "status": 503, "code": "SlowDown", "count": 8, "path": "/doc_jobs"},
        {"action": "error", "status": 429, "code": "SlowDown", "count": 8, "path": "/doc_jobs"},
        {"action": "error", "status": 503, "code": "ServiceUnavailable", "count": 8, "path": "/doc_jobs"},
        {"action": "cut_before", "count": 3, "method": "POST"},
        {"action": "cut_after", "count": 3, "method": "POST"},
        {"action": "cut_after", "count": 3, "method": "GET", "path": "/doc_jobs"},
        {"action": "truncate", "count": 2, "method": "GET", "path": "/doc_jobs"},
        {"action": "truncate", "count": 1, "host": "cos", "method": "GET"},
        {"action": "truncate", "count": 2, "method": "POST"},
        {"action": "error", "status": 500, "code": "InternalError", "count": 2, "method": "POST"},
        {"action": "slow", "seconds": 0.3, "count": 12},
        {"action": "page", "count": 3, "method": "PUT"},
        {"action": "page_after", "status": 404, "count": 2, "method": "POST"},
        {"action": "error", "status": 200, "code": "SlowDown", "count": 3},
        {"action": "clock", "seconds": 1200, "count": 10_000},
        {"action": "clock", "seconds": -1200, "count": 10_000},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()).replace("/", ""),
)
def test_each_fault_leaves_every_object_with_one_job(
    local_ci: LocalCI,
    fill_bucket: Fill,
    fault: dict[str, Any],
    batch: Make,
    job_count: Count,
    client_of: Connect,
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(10)))
    with client_of(local_ci) as client:
        local_ci.faults.add(**fault)
        summary = batch(client, lease_seconds=3).run()
        assert summary.succeeded == 10
        assert job_count(client) == 10


def test_an_outage_leaves_every_object_with_one_job(
    tmp_path: Path, batch: Make, job_count: Count, client_of: Connect
) -> None:
    inbox = tmp_path / "examplebucket-1250000000" / "in"
    inbox.mkdir(parents=True)
    for number in range(20):
        (inbox / f"{number}.docx").write_text("text")
    server = LocalCI(tmp_path, convert="instant")
    server.start()
    looks = 0

    def leave_and_return(_: Progress) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            server.stop()
        elif looks == 3:
            server.start()

    try:
        with client_of(server) as client:
            summary = batch(client, max_in_flight=5, progress=leave_and_return, lease_seconds=3).run()
            assert looks > 3
            assert summary.succeeded == 20
            assert job_count(client) == 20
    finally:
        server.stop()


def test_an_outage_that_lasts_too_long_is_an_error(tmp_path: Path, batch: Make, client_of: Connect) -> None:
    (tmp_path / "examplebucket-1250000000" / "in").mkdir(parents=True)
    (tmp_path / "examplebucket-1250000000" / "in" / "a.docx").write_text("text")
    server = LocalCI(tmp_path, convert="instant")
    server.start()

    def leave(progress: Progress) -> None:
        server.stop()

    with client_of(server) as client:
        server.faults.add(
            "error", status=503, code="ServiceUnavailable", count=9, path="/doc_jobs", method="POST"
        )
        gone = batch(client, progress=leave, outage_seconds=0.5)
        with pytest.raises(CIConnectionError):
            gone.run()


def test_a_service_that_loses_every_response_ends_the_batch(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI, batch: Make
) -> None:
    """The batch gets no response that accepts or refuses a submission."""
    fill_bucket("in/a.docx")
    local_ci.faults.add("cut_before", method="POST", count=10_000)
    with pytest.raises(SubmissionUnknownError, match=r"in/a\.docx"):
        batch(client, outage_seconds=0.5, timeout_seconds=20).run()


class SlowConverters(InstantConverters):
    """Each conversion takes 0.6 seconds."""

    def document(self, *arguments: Any) -> DocumentResult:
        time.sleep(0.6)
        return super().document(*arguments)


def test_a_full_queue_is_no_outage(tmp_path: Path, batch: Make, client_of: Connect) -> None:
    inbox = tmp_path / "examplebucket-1250000000" / "in"
    inbox.mkdir(parents=True)
    for number in range(3):
        (inbox / f"{number}.docx").write_text("text")
    with (
        LocalCI(tmp_path, convert=SlowConverters(), queue_size=1, queue_concurrency=1) as server,
        client_of(server, retry=RetryPolicy(max_attempts=1)) as client,
    ):
        assert batch(client, outage_seconds=0.01).run().succeeded == 3
