from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from airflow_provider_ci.batch import Batch, QueueStaysPausedError
from airflow_provider_ci.client import CIClient

Fill = Callable[..., None]
Make = Callable[..., Batch]


@pytest.fixture
def queue_id(client: CIClient) -> str:
    (queue,) = client.list_doc_queues()
    return queue.queue_id


def test_the_jobs_of_a_paused_queue_are_left_to_the_next_run(
    client: CIClient,
    queue_id: str,
    fill_bucket: Fill,
    batch: Make,
    live_jobs: Callable[[CIClient], Counter[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    keys = [f"in/{number}.docx" for number in range(6)]
    fill_bucket(*keys)
    client.pause_doc_queue(queue_id)
    with pytest.raises(QueueStaysPausedError):
        batch(client, outage_seconds=0.4).run()
    assert f"queue {queue_id} is paused" in caplog.text
    assert live_jobs(client) == dict.fromkeys(keys, 1)
    client.resume_doc_queue(queue_id)
    summary = batch(client).run()
    assert (summary.succeeded, summary.jobs) == (6, 6)
    assert live_jobs(client) == dict.fromkeys(keys, 1)
