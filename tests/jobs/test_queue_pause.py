from __future__ import annotations

import pickle
import time
from collections.abc import Callable

import pytest

from airflow_provider_ci.client import CIClient, DocProcess
from airflow_provider_ci.jobs import DOCUMENTS, PauseWatch, QueueStaysPausedError
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]


@pytest.fixture
def queue_id(client: CIClient) -> str:
    (queue,) = client.list_doc_queues()
    return queue.queue_id


@pytest.fixture
def job_id(client: CIClient, queue_id: str, fill_bucket: Fill) -> str:
    """Id of a job that waits in a paused queue."""
    fill_bucket("in/a.docx")
    client.pause_doc_queue(queue_id)
    return client.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess(target="pdf")).job_id


def test_a_pause_is_said_and_waited_for_up_to_a_limit(
    client: CIClient, queue_id: str, job_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    watch = PauseWatch(client, DOCUMENTS, limit_seconds=0.2, every_seconds=0)
    watch.look([job_id], is_moving=False)
    assert f"queue {queue_id} is paused" in caplog.text
    time.sleep(0.2)
    with pytest.raises(QueueStaysPausedError, match=f"queue {queue_id} has been paused .* resume it"):
        watch.look([job_id], is_moving=False)


def test_a_pause_that_ends_is_forgotten(client: CIClient, queue_id: str, job_id: str) -> None:
    watch = PauseWatch(client, DOCUMENTS, limit_seconds=0.2, every_seconds=0)
    watch.look([job_id], is_moving=False)
    time.sleep(0.2)
    client.resume_doc_queue(queue_id)
    watch.look([job_id], is_moving=False)
    client.pause_doc_queue(queue_id)
    watch.look([job_id], is_moving=False)


def test_jobs_that_end_end_the_pause_and_save_the_question(
    client: CIClient, local_ci: LocalCI, job_id: str
) -> None:
    watch = PauseWatch(client, DOCUMENTS, limit_seconds=60, every_seconds=30)
    local_ci.faults.add("error", code="AccessDenied", count=10_000)
    watch.look([job_id], is_moving=False)
    watch.look([job_id], is_moving=True)
    watch.look([], is_moving=False)
    assert local_ci.faults.pending()[0]["count"] == 10_000


def test_a_queue_that_is_only_slow_may_be_so_for_ever(client: CIClient, queue_id: str, job_id: str) -> None:
    client.resume_doc_queue(queue_id)
    watch = PauseWatch(client, DOCUMENTS, limit_seconds=0, every_seconds=0)
    for _ in range(3):
        watch.look([job_id], is_moving=False)


def test_the_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(QueueStaysPausedError("p1", 60.0)))
    assert (error.queue_id, error.seconds) == ("p1", 60.0)
