from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_ci.client import CIClient, Credentials, DocProcess, JobState, RetryPolicy
from airflow_provider_ci.jobs import cancel_waiting
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]


@pytest.mark.parametrize("local_ci", [0.5], indirect=True)
def test_cancelling_ends_what_has_not_begun_and_bears_refusals(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("a.docx")
    submitted = [client.submit_doc_job("a.docx", f"out/{number}.pdf", DocProcess()) for number in range(8)]
    job_ids = [found.job_id for found in submitted]
    cancel_waiting(client, ["d" + "0" * 32, *job_ids])
    states = [client.get_doc_job(job_id).state for job_id in job_ids]
    assert states[-1] is JobState.CANCEL
    assert JobState.CANCEL not in states[:2], "two workers run the first two"


def test_cancelling_is_no_error_when_the_service_is_away(tmp_path: Path) -> None:
    """A task that is being killed has something else to say than that."""
    with LocalCI(tmp_path / "elsewhere", convert="instant") as server:
        credentials = Credentials(secret_id=server.secret_id, secret_key=server.secret_key)
    once = RetryPolicy(max_attempts=1)
    with CIClient(credentials, "ap-guangzhou", "b-1", endpoint=server.endpoint, retry=once) as client:
        cancel_waiting(client, ["d" + "0" * 32, "d" + "1" * 32])
