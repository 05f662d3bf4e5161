from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from airflow_provider_ci.batch import (
    Batch,
    BatchFailedError,
    BatchStoppedError,
    ObjectResult,
    ObjectState,
    Progress,
    read_report,
)
from airflow_provider_ci.client import (
    CIClient,
    JobState,
)
from tests.batch.conftest import REPORT, die, dies, pause

Fill = Callable[..., None]
Make = Callable[..., Batch]
Count = Callable[[CIClient], int]
Results = Callable[..., dict[str, ObjectResult]]


def test_what_has_not_ended_in_time_is_reported_as_unfinished(
    client: CIClient, fill_bucket: Fill, batch: Make, results: Results
) -> None:
    fill_bucket("in/a.docx")
    with pytest.raises(BatchFailedError, match="1 unfinished") as failed:
        batch(client, timeout_seconds=-1).run()
    assert results(client, failed.value.summary.report_key)["in/a.docx"].state is ObjectState.UNFINISHED


def test_a_batch_can_be_stopped(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "in/c.docx")
    stop = threading.Event()
    stopped = batch(client, progress=lambda _: stop.set(), is_stopped=stop.is_set, max_in_flight=1)
    with pytest.raises(BatchStoppedError):
        stopped.run()


def test_a_batch_that_is_stopped_says_what_it_leaves_behind(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "in/c.docx")
    stop = threading.Event()
    stopped = batch(client, progress=lambda _: stop.set(), is_stopped=stop.is_set, max_in_flight=1)
    with pytest.raises(BatchStoppedError) as left:
        stopped.run()
    report = list(read_report(client, REPORT))
    unfinished = [found for found in report if found.state is ObjectState.UNFINISHED]
    assert len(report) == 3
    assert set(left.value.job_ids) == {found.job_id for found in unfinished if found.job_id}


@pytest.mark.parametrize("cancels", [True, False])
def test_a_stopped_batch_cancels_what_has_not_begun_if_it_is_told_to(
    client: CIClient, fill_bucket: Fill, cancels: bool, batch: Make
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(8)))
    pause(client)
    stop = threading.Event()
    stopped = batch(
        client, progress=lambda _: stop.set(), is_stopped=stop.is_set, cancels_when_stopped=lambda: cancels
    )
    with pytest.raises(BatchStoppedError):
        stopped.run()
    states = [job.state for job in client.list_doc_jobs()]
    assert len(states) == 8
    assert (JobState.CANCEL in states) is cancels


def test_jobs_cancelled_on_the_way_out_are_submitted_again(
    client: CIClient, fill_bucket: Fill, batch: Make, live_jobs: Callable[[CIClient], Counter[str]]
) -> None:
    keys = [f"in/{number}.docx" for number in range(8)]
    fill_bucket(*keys)
    resume = pause(client)
    stop = threading.Event()
    stopped = batch(
        client, progress=lambda _: stop.set(), is_stopped=stop.is_set, cancels_when_stopped=lambda: True
    )
    with pytest.raises(BatchStoppedError):
        stopped.run()
    resume()
    cancelled = sum(job.state is JobState.CANCEL for job in client.list_doc_jobs())
    assert cancelled > 0
    summary = batch(client).run()
    assert (summary.succeeded, summary.cancelled, summary.jobs) == (8, 0, 8 + cancelled)
    assert live_jobs(client) == dict.fromkeys(keys, 1)


def test_a_job_that_somebody_else_cancels_stays_cancelled(
    client: CIClient, fill_bucket: Fill, batch: Make, job_count: Count
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(5)))
    resume = pause(client)
    numbers = itertools.count()

    def cancel_one(_: Progress) -> None:
        if next(numbers) == 0:
            client.cancel_doc_job(next(job.job_id for job in client.list_doc_jobs(order="Desc")))
            resume()

    with pytest.raises(BatchFailedError, match="1 cancelled"):
        batch(client, progress=cancel_one).run()
    assert job_count(client) == 5


def test_a_stop_ends_the_wait_for_a_dead_run(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket("in/a.docx")
    die(batch(client, progress=dies(1)))
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(BatchStoppedError):
        batch(client, is_stopped=stop.is_set).run()
