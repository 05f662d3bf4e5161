from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

import pytest

from airflow_provider_ci.client import CIClient, DocProcess, NotFoundError, PicProcess
from airflow_provider_ci.jobs import JobWatch
from airflow_provider_ci.local import LocalCI
from benchmarks.counting import Requests

Fill = Callable[..., None]
UNKNOWN = "d" + "0" * 32


def submit(client: CIClient, count: int) -> list[str]:
    return [
        client.submit_doc_job("a.docx", f"out/{number}.pdf", DocProcess(target="pdf")).job_id
        for number in range(count)
    ]


def test_documents_and_pictures_are_watched_together(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("a.docx", "b.png")
    job_ids = submit(client, 5)
    for number in range(5):
        rule = PicProcess("imageMogr2/rotate/90")
        job_ids.append(client.submit_pic_job("b.png", f"out/{number}.png", rule).job_id)
    watch = JobWatch(client, job_ids)
    while watch.pending:
        watch.look()
    assert watch.finished.keys() == set(job_ids)


@pytest.mark.parametrize("local_ci", [1000.0], indirect=True)
def test_the_first_look_at_many_jobs_is_one_listing(client: CIClient, fill_bucket: Fill) -> None:
    """The listing of 120 jobs has two pages, and one more request looks up the queue."""
    (queue,) = client.list_doc_queues()
    client.pause_doc_queue(queue.queue_id)
    fill_bucket("a.docx")
    watch = JobWatch(client, submit(client, 120))
    with Requests() as requests:
        watch.look_patiently()
    assert requests.count <= 4
    assert len(watch.pending) == 120


def test_a_look_after_all_jobs_have_ended_is_one_listing(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("a.docx")
    job_ids = submit(client, 120)
    while not all(job.state.is_final for job in client.list_doc_jobs()):
        pass
    with Requests() as requests:
        watch = JobWatch(client, job_ids)
        watch.look()
    assert watch.finished.keys() == set(job_ids)
    assert requests.count <= 3


def test_a_job_that_has_ended_is_read_once(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("a.docx")
    (job_id,) = submit(client, 1)
    while not client.get_doc_job(job_id).state.is_final:
        pass
    watch = JobWatch(client, [job_id])
    with Requests() as requests:
        watch.look()
    assert not watch.pending
    assert requests.count == 1


@pytest.mark.parametrize("count", [1, 4])
def test_an_unknown_job_is_an_error(client: CIClient, fill_bucket: Fill, count: int) -> None:
    fill_bucket("a.docx")
    with pytest.raises(NotFoundError, match=UNKNOWN):
        JobWatch(client, [UNKNOWN, *submit(client, count)]).look()


def test_a_job_that_was_just_submitted_may_be_unknown_for_a_while(client: CIClient) -> None:
    watch = JobWatch(client, [UNKNOWN])
    watch.look_patiently()
    assert list(watch.pending) == [UNKNOWN]


def test_a_job_that_is_old_and_unknown_is_an_error_even_to_the_patient(client: CIClient) -> None:
    watch = JobWatch(client, [UNKNOWN], created={UNKNOWN: datetime(2020, 1, 1, tzinfo=timezone.utc)})
    with pytest.raises(NotFoundError, match=UNKNOWN):
        watch.look_patiently()


def test_an_outage_is_left_to_the_next_look(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI, caplog: pytest.LogCaptureFixture
) -> None:
    fill_bucket("a.docx")
    watch = JobWatch(client, submit(client, 1))
    local_ci.faults.add("error", code="ServiceUnavailable", method="GET", count=1, retry_after=10_000)
    watch.look_patiently()
    assert "the service is unavailable, still waiting" in caplog.text
    assert watch.pending


def test_what_waiting_does_not_change_is_raised(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI
) -> None:
    fill_bucket("a.docx")
    watch = JobWatch(client, submit(client, 1))
    local_ci.faults.add("error", code="AccessDenied", method="GET", count=1)
    with pytest.raises(Exception, match="AccessDenied"):
        watch.look_patiently()
