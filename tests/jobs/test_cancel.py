from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from airflow_provider_ci.client import CIClient, Credentials, DocProcess, JobState, RetryPolicy
from airflow_provider_ci.jobs import cancel_waiting
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]


def test_cancelling_ends_what_has_not_begun_and_bears_refusals(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("a.docx")

    def submit(number: int) -> str:
        return client.submit_doc_job("a.docx", f"out/{number}.pdf", DocProcess()).job_id

    ended = [submit(number) for number in range(2)]
    while not all(client.get_doc_job(job_id).state.is_final for job_id in ended):
        time.sleep(0.02)
    client.pause_doc_queue(client.list_doc_queues()[0].queue_id)
    waiting = [submit(number) for number in range(2, 8)]
    cancel_waiting(client, ["d" + "0" * 32, *ended, *waiting])
    assert {client.get_doc_job(job_id).state for job_id in ended} == {JobState.SUCCESS}
    assert {client.get_doc_job(job_id).state for job_id in waiting} == {JobState.CANCEL}


def test_cancelling_is_no_error_when_the_service_is_away(tmp_path: Path) -> None:
    """A task that is being killed must not fail because its jobs cannot be cancelled."""
    with LocalCI(tmp_path / "elsewhere", convert="instant") as server:
        credentials = Credentials(secret_id=server.secret_id, secret_key=server.secret_key)
    once = RetryPolicy(max_attempts=1)
    with CIClient(credentials, "ap-guangzhou", "b-1", endpoint=server.endpoint, retry=once) as client:
        cancel_waiting(client, ["d" + "0" * 32, "d" + "1" * 32])
