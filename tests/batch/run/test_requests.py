"""The number of requests that a batch sends, counted by the local CI."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, ObjectKeys, Pace
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import pause, wait_until

Fill = Callable[..., None]
Make = Callable[..., Batch]
Connect = Callable[..., CIClient]

ONE_LOOK = Pace(shortest=2.0, longest=5.0)
"""A pace at which the jobs of instant converters have ended by the first check."""


@pytest.fixture
def cost(local_ci: LocalCI) -> Callable[[Callable[[], Any]], dict[str, int]]:
    """Counts the requests of a call, by operation."""

    def count(step: Callable[[], Any]) -> dict[str, int]:
        local_ci.reset_request_counts()
        step()
        counts = local_ci.request_counts()
        print(sum(counts.values()), counts)
        return counts

    return count


Cost = Callable[[Callable[[], Any]], dict[str, int]]


@pytest.mark.parametrize("source", [None, ["in/0.docx"]], ids=["selection", "keys"])
def test_a_first_batch_of_one_object_takes_at_most_14_requests(
    source: list[str] | None, client: CIClient, fill_bucket: Fill, batch: Make, cost: Cost
) -> None:
    fill_bucket("in/0.docx")
    options = {} if source is None else {"source": source}
    counts = cost(batch(client, pace=ONE_LOOK, **options).run)
    assert sum(counts.values()) <= 14, counts


def test_later_batches_of_one_object_take_at_most_14_requests(
    client: CIClient, fill_bucket: Fill, batch: Make, cost: Cost
) -> None:
    for number in range(4):
        fill_bucket(f"in/{number}.docx")
        made = batch(client, [f"in/{number}.docx"], batch_id=f"{number}", pace=ONE_LOOK)
        counts = cost(made.run)
        assert sum(counts.values()) <= 14, counts


def test_a_batch_of_ten_objects_takes_at_most_24_requests(
    client: CIClient, fill_bucket: Fill, batch: Make, cost: Cost
) -> None:
    """Each further object takes one more request: its submission."""
    fill_bucket(*(f"in/{number}.docx" for number in range(10)))
    counts = cost(batch(client, pace=ONE_LOOK).run)
    assert counts["POST ci /doc_jobs"] == 10
    assert sum(counts.values()) <= 24, counts


@pytest.mark.parametrize("count", [1, 10])
@pytest.mark.parametrize("batch_id", ["test", "other"])
def test_a_rerun_with_nothing_to_do_takes_at_most_14_requests(
    count: int, batch_id: str, client: CIClient, fill_bucket: Fill, batch: Make, cost: Cost
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(count)))
    batch(client).run()
    counts = cost(batch(client, batch_id=batch_id).run)
    assert sum(counts.values()) <= 14, counts


def test_a_resume_with_jobs_in_flight_takes_few_requests(
    client: CIClient, fill_bucket: Fill, batch: Make, cost: Cost
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(50)))
    resume = pause(client)
    made = batch(client)
    assert made.advance(patience=0, deadline=time.time() + 60) is None
    parked = dict(made.parked)
    counts = cost(lambda: batch(client).advance(patience=0, deadline=time.time() + 60, resume=parked))
    assert sum(counts.values()) <= 20, counts
    resume()
    wait_until(lambda: all(job.state.is_final for job in client.list_doc_jobs()))
    counts = cost(lambda: batch(client).advance(patience=0, deadline=time.time() + 60, resume=parked))
    assert sum(counts.values()) <= 20, counts
    assert batch(client).run().skipped == 50


@pytest.mark.parametrize("count", [40, 400])
def test_planning_needs_no_request_per_object(
    count: int, client: CIClient, fill_bucket: Fill, batch: Make, cost: Cost
) -> None:
    fill_bucket(*(f"in/{number:04}.docx" for number in range(count)))
    batch(client, max_in_flight=1000).run()
    counts = cost(batch(client, batch_id="again").run)
    assert sum(counts.values()) <= 18, counts


def test_named_keys_are_looked_up_side_by_side(
    client: CIClient, local_ci: LocalCI, fill_bucket: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several HEAD requests are in flight at the same time."""
    keys = [f"in/{number}.docx" for number in range(64)]
    fill_bucket(*keys)
    together = threading.Barrier(8, timeout=20)
    head = client.head_object

    def head_together(key: str) -> Any:
        together.wait()  # fails unless eight threads call at the same time
        return head(key)

    monkeypatch.setattr(client, "head_object", head_together)
    found = list(ObjectKeys(keys=keys).objects(client, threads=8))
    assert [each.key for each in found] == keys


def test_a_thousand_named_keys_take_a_head_request_each(
    client: CIClient, local_ci: LocalCI, fill_bucket: Fill, cost: Cost
) -> None:
    keys = [f"in/{number}.docx" for number in range(300)]
    fill_bucket(*keys)
    counts = cost(lambda: list(ObjectKeys(keys=keys).objects(client)))
    assert counts == {"HEAD cos /{key}": 300}
