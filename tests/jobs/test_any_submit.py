"""Jobs of other tags are submitted once: lost jobs are found in a listing, or not submitted again."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_ci.client import (
    CIClient,
    DocWatermark,
    FileHashCode,
    FileUncompress,
    JobState,
    SubmissionUnknownError,
)
from airflow_provider_ci.jobs import (
    JobRequest,
    JobWatch,
    UnlistedSubmissionError,
    cancel_waiting,
    find_submitted,
    submit,
    submit_once,
    type_of_operation,
)
from airflow_provider_ci.local import LocalCI

BUCKET, REGION = "examplebucket-1250000000", "ap-guangzhou"
MARK = DocWatermark(1, image=f"http://{BUCKET}.cos.{REGION}.myqcloud.com/in/stamp.png", source_type="pdf")
LISTED = [
    JobRequest("in/a.pdf", "out/a.pdf", MARK),
    JobRequest("in/a.pdf", None, FileHashCode("SHA1", path="/jobs")),
    JobRequest("in/a.pdf", None, FileUncompress("out/", path="/jobs")),
]
UNLISTED = [
    JobRequest("in/a.pdf", None, FileHashCode()),
    JobRequest("in/a.pdf", None, FileUncompress("out/")),
]
listed = pytest.mark.parametrize("request_of_job", LISTED, ids=lambda each: each.job_type.tag)
unlisted = pytest.mark.parametrize("request_of_job", UNLISTED, ids=lambda each: each.job_type.tag)


@pytest.fixture(autouse=True)
def little_skew(monkeypatch: pytest.MonkeyPatch, fill_bucket: Callable[..., None]) -> None:
    """Wait no extra time after a signature expires, because client and service share one clock in a test."""
    monkeypatch.setattr(submit, "EXPIRY_SLACK_SECONDS", 0.0)
    fill_bucket("in/a.pdf", "in/stamp.png")


def jobs(client: CIClient, request: JobRequest) -> list[str]:
    path = "/doc_jobs" if request.output_key else "/jobs"
    return [job.job_id for job in client.list_jobs(request.job_type.tag, path=path)]


def now() -> datetime:
    return datetime.now(timezone.utc) - timedelta(seconds=1)


@listed
@pytest.mark.parametrize("fault", ["cut_after", "cut_before"])
def test_a_listed_job_is_found_or_submitted_again(
    client: CIClient, local_ci: LocalCI, request_of_job: JobRequest, fault: str
) -> None:
    client.submit_job("in/a.pdf", request_of_job.output_key, request_of_job.operation, user_data="another")  # type: ignore[arg-type]
    local_ci.faults.add(fault, method="POST", count=1)
    job = submit_once(client, request_of_job, token="t1", valid_seconds=1)
    assert job.user_data == "t1"
    assert len(jobs(client, request_of_job)) == 2


@listed
def test_the_job_of_a_dead_process_is_found(client: CIClient, request_of_job: JobRequest) -> None:
    started = now()
    job = submit_once(client, request_of_job, token="t1")
    found = find_submitted(client, request_of_job, token="t1", since=started)
    assert found and found.job_id == job.job_id


@unlisted
@pytest.mark.parametrize("fault", ["cut_after", "cut_before"])
def test_an_unlisted_job_is_never_submitted_twice(
    client: CIClient, local_ci: LocalCI, request_of_job: JobRequest, fault: str
) -> None:
    local_ci.faults.add(fault, method="POST", count=1)
    with pytest.raises(UnlistedSubmissionError, match="nothing can tell whether the job exists") as failed:
        submit_once(client, request_of_job, token="t1")
    assert len(jobs(client, request_of_job)) == (1 if fault == "cut_after" else 0)
    assert isinstance(failed.value, SubmissionUnknownError)
    assert "list the jobs created since" not in str(failed.value)
    copy = pickle.loads(pickle.dumps(failed.value))
    assert (str(copy), copy.tag, copy.input_key) == (
        str(failed.value),
        request_of_job.job_type.tag,
        "in/a.pdf",
    )
    with pytest.raises(UnlistedSubmissionError):
        find_submitted(client, request_of_job, token="t1", since=now(), expires_at=time.time() - 9)


@unlisted
def test_without_a_lost_response_an_unlisted_job_is_like_any_other(
    client: CIClient, local_ci: LocalCI, request_of_job: JobRequest
) -> None:
    local_ci.faults.add("error", code="SlowDown", method="POST", count=1)
    job = submit_once(client, request_of_job, token="t1")
    assert jobs(client, request_of_job) == [job.job_id]


def wait(client: CIClient, job_ids: list[str]) -> JobWatch:
    watch = JobWatch(client, job_ids)
    deadline = time.monotonic() + 60
    while watch.pending and time.monotonic() < deadline:
        watch.look_patiently()
    return watch


def test_many_unlisted_jobs_are_waited_for(client: CIClient) -> None:
    submitted = [client.submit_job("in/a.pdf", None, FileHashCode()).job_id for _ in range(15)]
    submitted += [client.submit_job("in/a.pdf", "out/a.pdf", MARK).job_id]
    watch = wait(client, submitted)
    assert sorted(watch.finished) == sorted(submitted)


def test_waiting_jobs_of_other_tags_are_cancelled(client: CIClient) -> None:
    (queue,) = client.list_file_queues()
    client.pause_file_queue(queue.queue_id)
    held: list[Any] = [client.submit_job("in/a.pdf", None, FileHashCode()) for _ in range(3)]
    cancel_waiting(client, [job.job_id for job in held])
    assert {client.get_job(job.job_id).state for job in held} == {JobState.CANCEL}
    client.resume_file_queue(queue.queue_id)
    assert type_of_operation(FileHashCode()).queues(client)[0].queue_id == queue.queue_id
