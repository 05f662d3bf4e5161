from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_provider_ci.client import CIClient

Fill = Callable[..., None]


@pytest.fixture
def paused(client: CIClient, fill_bucket: Fill) -> Callable[[], object]:
    """Pauses the document queue and adds an input object; call the result to resume the queue."""
    fill_bucket("in/a.docx")
    queue_id = client.list_doc_queues()[0].queue_id
    client.pause_doc_queue(queue_id)
    return lambda: client.resume_doc_queue(queue_id)
