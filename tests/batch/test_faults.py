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
    DocProcess,
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
        {"action": "clock", "seconds": 1200, "count": 10_000},
        {"action": "clock", "seconds": -1200, "count": 10_000},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()).replace("/", ""),
)
def test_faults_are_waited_out_and_every_object_has_one_job(
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
        summary = batch(client, settle_seconds=0.5).run()
        assert summary.succeeded == 10
        assert job_count(client) == 10


def test_a_server_that_comes_back_finds_every_object_with_one_job(
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
            summary = batch(client, max_in_flight=5, progress=leave_and_return, settle_seconds=0.3).run()
            assert looks > 3
            assert summary.succeeded == 20
            assert job_count(client) == 20
    finally:
        server.stop()


def test_a_server_that_stays_away_ends_the_batch_with_an_error(
    tmp_path: Path, batch: Make, client_of: Connect
) -> None:
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


def test_a_submission_that_the_service_takes_late_is_not_sent_again(
    local_ci: LocalCI, client: CIClient, fill_bucket: Fill, batch: Make, job_count: Count
) -> None:
    """The time in which it may still show begins when its answer is lost, not when its turn came."""
    fill_bucket(*(f"in/{number}.docx" for number in range(4)))
    local_ci.faults.add("slow", seconds=0.3, method="POST", count=3)
    local_ci.faults.add("cut_before", method="POST", count=1)

    def take_late(progress: Progress) -> None:
        if job_count(client) == 3:
            client.submit_doc_job("in/3.docx", "out/3.pdf", DocProcess(target="pdf"))

    summary = batch(client, threads=1, settle_seconds=0.6, progress=take_late).run()
    assert summary.succeeded == 4
    assert job_count(client) == 4


def test_a_service_that_loses_every_answer_ends_the_batch(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI, batch: Make
) -> None:
    """It accepts nothing and refuses nothing; without an end the batch would try for a day."""
    fill_bucket("in/a.docx")
    local_ci.faults.add("cut_before", method="POST", count=10_000)
    with pytest.raises(SubmissionUnknownError, match=r"in/a\.docx"):
        batch(client, outage_seconds=0.5, settle_seconds=0.05, timeout_seconds=5).run()


class SlowConverters(InstantConverters):
    """Each conversion takes its time."""

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
