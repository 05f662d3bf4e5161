"""One submission makes one job even if requests are late or responses lost, as the job table shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_ci.client import (
    AccessDeniedError,
    CIClient,
    DocProcess,
    Job,
    JobState,
    PicProcess,
    SubmissionUnknownError,
)
from airflow_provider_ci.jobs import JobRequest, find_submitted, kinds, submit, submit_once
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]
REQUEST = JobRequest("in/a.docx", "out/a.pdf", DocProcess(target="pdf"))


@pytest.fixture(autouse=True)
def little_skew(monkeypatch: pytest.MonkeyPatch, fill_bucket: Fill) -> None:
    """Wait no extra time after a signature expires, because client and service share one clock in a test."""
    monkeypatch.setattr(submit, "EXPIRY_SLACK_SECONDS", 0.0)
    fill_bucket("in/a.docx")


def jobs(client: CIClient) -> list[str]:
    return [job.job_id for job in client.list_doc_jobs()]


def test_a_job_is_submitted_as_asked(client: CIClient) -> None:
    (queue,) = client.list_doc_queues()
    request = JobRequest(
        "in/a.docx", "out/b.pdf", DocProcess(), queue_id=queue.queue_id, job_level=2, user_data="mine"
    )
    job = submit_once(client, request, token="t1")
    found = client.get_doc_job(job.job_id)
    assert (found.output_key, found.queue_id, found.user_data) == ("out/b.pdf", queue.queue_id, "mine")
    assert found.raw["Operation"]["JobLevel"] == "2"


def test_without_user_data_the_job_carries_the_token(client: CIClient) -> None:
    assert submit_once(client, REQUEST, token="t1").user_data == "t1"


@pytest.mark.parametrize("action", ["cut_before", "cut_after"])
def test_one_job_comes_of_a_lost_response(client: CIClient, local_ci: LocalCI, action: str) -> None:
    local_ci.faults.add(action, method="POST", count=1)
    job = submit_once(client, REQUEST, token="t1", valid_seconds=2)
    assert jobs(client) == [job.job_id]


@pytest.mark.parametrize("seconds", [0.5, 2.5])
def test_a_request_that_the_service_takes_late_makes_one_job(
    far_client: CIClient, client: CIClient, network: Any, seconds: float
) -> None:
    """The service may take a submission at any time until its signature expires."""
    network.delay_next(seconds)
    job = submit_once(far_client, REQUEST, token="t1", valid_seconds=4)
    network.wait()
    assert network.statuses == [200]
    assert jobs(client) == [job.job_id]


def test_a_request_that_arrives_after_its_signature_has_expired_makes_no_job(
    far_client: CIClient, client: CIClient, network: Any
) -> None:
    network.delay_next(4)
    job = submit_once(far_client, REQUEST, token="t1", valid_seconds=2)
    network.wait()
    assert network.statuses[0] >= 400
    assert jobs(client) == [job.job_id]


@pytest.mark.parametrize("echo", ["", "t"], ids=["not echoed", "cut"])
def test_without_user_data_in_the_echo_input_output_and_operation_tell_the_job(
    client: CIClient, local_ci: LocalCI, monkeypatch: pytest.MonkeyPatch, echo: str
) -> None:
    echo_instead(monkeypatch, user_data=echo)
    local_ci.faults.add("cut_after", method="POST", count=1)
    job = submit_once(client, REQUEST, token="token", valid_seconds=2)
    assert jobs(client) == [job.job_id]


def test_a_job_that_failed_at_once_is_ours_as_well(
    client: CIClient, local_ci: LocalCI, monkeypatch: pytest.MonkeyPatch, fill_bucket: Fill
) -> None:
    echo_instead(monkeypatch, user_data="")
    fill_bucket("in/a.docx", content=b"")
    started = client.server_time()
    while client.server_time() == started:  # creation times are whole seconds
        pass
    local_ci.faults.add("cut_after", method="POST", count=1)
    job = submit_once(client, REQUEST, token="token", valid_seconds=2)
    assert jobs(client) == [job.job_id]
    while not client.get_doc_job(job.job_id).state.is_final:
        pass
    assert client.get_doc_job(job.job_id).state is JobState.FAILED


def test_jobs_of_others_for_the_same_object_are_not_taken_for_ours(
    client: CIClient, local_ci: LocalCI
) -> None:
    others = {
        client.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess(), user_data="another").job_id,
        client.submit_doc_job("in/a.docx", "out/b.pdf", DocProcess()).job_id,
        client.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess(quality=7)).job_id,
    }
    local_ci.faults.add("cut_before", method="POST", count=1)
    request = JobRequest("in/a.docx", "out/a.pdf", DocProcess(quality=9))
    job = submit_once(client, request, token="t1", valid_seconds=1)
    assert job.job_id not in others
    assert len(jobs(client)) == 4


def test_a_refusal_is_final(client: CIClient, local_ci: LocalCI) -> None:
    local_ci.faults.add("error", code="AccessDenied", method="POST", count=1)
    noted: list[float] = []
    with pytest.raises(AccessDeniedError):
        submit_once(client, REQUEST, token="t1", before_sending=noted.append)
    assert jobs(client) == []
    assert noted[-1] == 0, "nothing is on its way"


def test_responses_that_are_lost_again_and_again_end_in_an_error(client: CIClient, local_ci: LocalCI) -> None:
    local_ci.faults.add("cut_before", method="POST", count=10)
    with pytest.raises(SubmissionUnknownError, match=r"in/a\.docx"):
        submit_once(client, REQUEST, token="t1", valid_seconds=1)
    assert local_ci.faults.pending()[0]["count"] == 7
    assert jobs(client) == []


def test_when_the_search_fails_the_lost_submission_is_not_forgotten(
    client: CIClient, local_ci: LocalCI
) -> None:
    local_ci.faults.add("cut_after", method="POST", count=1)
    local_ci.faults.add("error", code="AccessDenied", method="GET", path="/doc_jobs", count=1)
    noted: list[float] = []
    with pytest.raises(AccessDeniedError) as failed:
        submit_once(client, REQUEST, token="t1", before_sending=noted.append)
    assert isinstance(failed.value.__context__, SubmissionUnknownError)
    assert 0 not in noted


def test_an_outage_does_not_end_the_search(far_client: CIClient, client: CIClient, local_ci: LocalCI) -> None:
    local_ci.faults.add("cut_after", method="POST", count=1)
    local_ci.faults.add("error", status=503, method="GET", count=2)
    job = submit_once(far_client, REQUEST, token="t1", valid_seconds=1)
    assert jobs(client) == [job.job_id]


def test_a_stop_ends_the_wait(client: CIClient, local_ci: LocalCI) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    local_ci.faults.add("cut_before", method="POST", count=1)
    with pytest.raises(KeyboardInterrupt):
        submit_once(client, REQUEST, token="t1", raise_if_stopped=stop)
    assert jobs(client) == []


def test_each_request_is_told_of_before_it_is_sent(client: CIClient, local_ci: LocalCI) -> None:
    noted: list[float] = []
    local_ci.faults.add("cut_before", method="POST", count=1)
    began = time.time()
    submit_once(client, REQUEST, token="t1", valid_seconds=2, before_sending=noted.append)
    first, second = noted
    assert began + 1 <= first <= began + 2.1
    assert second > first


def test_pictures_are_found_too(client: CIClient, local_ci: LocalCI, fill_bucket: Fill) -> None:
    fill_bucket("in/a.png")
    local_ci.faults.add("cut_after", method="POST", count=1)
    request = JobRequest("in/a.png", "out/a.png", PicProcess("imageMogr2/rotate/90"))
    job = submit_once(client, request, token="t1", valid_seconds=2)
    assert [found.job_id for found in client.list_pic_jobs()] == [job.job_id]


def test_a_signature_needs_time() -> None:
    with pytest.raises(ValueError, match="valid_seconds must be at least 1, not 0"):
        submit_once(None, REQUEST, token="t1", valid_seconds=0)  # type: ignore[arg-type] # sends no request


# Jobs that a dead process submitted


def since() -> datetime:
    return datetime.now(timezone.utc) - timedelta(seconds=1)


def test_the_job_of_a_dead_process_is_found(client: CIClient) -> None:
    started = since()
    job = submit_once(client, REQUEST, token="t1")
    found = find_submitted(client, REQUEST, token="t1", since=started)
    assert found and found.job_id == job.job_id


def test_the_job_of_an_older_version_is_found(client: CIClient) -> None:
    started = since()
    job = client.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess(), user_data="t1-0-2")
    found = find_submitted(client, REQUEST, token="t1", since=started)
    assert found and found.job_id == job.job_id


def test_a_request_that_is_still_on_its_way_is_waited_for(
    far_client: CIClient, client: CIClient, network: Any
) -> None:
    started = since()
    network.delay_next(2)
    expires_at = time.time() + 4
    with pytest.raises(SubmissionUnknownError):
        far_client.submit_doc_job(
            "in/a.docx", "out/a.pdf", DocProcess(target="pdf"), user_data="t1", expires_at=expires_at
        )
    found = find_submitted(client, REQUEST, token="t1", since=started, expires_at=expires_at)
    assert found and jobs(client) == [found.job_id]


def test_what_has_expired_is_looked_for_once(client: CIClient) -> None:
    def stop() -> None:
        pytest.fail("it waited")

    assert (
        find_submitted(
            client, REQUEST, token="t1", since=since(), expires_at=time.time() - 1, raise_if_stopped=stop
        )
        is None
    )


def echo_instead(monkeypatch: pytest.MonkeyPatch, **values: Any) -> None:
    """Replace these fields of every listed job."""
    from dataclasses import replace

    def listed(client: CIClient, **options: Any) -> Iterator[Job]:
        return (replace(job, **values) for job in client.list_doc_jobs(**options))

    monkeypatch.setattr(kinds, "DOCUMENTS", replace(kinds.DOCUMENTS, list=listed))
