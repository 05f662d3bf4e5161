"""Several queues: which queue gets the next job; no job is lost or doubled in any queue."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, BatchWatch, QueueStaysPausedError
from airflow_provider_ci.batch.dispatch.queues import QueueShares
from airflow_provider_ci.client import CIClient, DocProcess, PicProcess
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import FAST, FOLDER, die, dies, wait_until

Fill = Callable[..., None]
Make = Callable[..., Batch]
Count = Callable[[CIClient], "Counter[str]"]
End = Callable[[], None]

KEYS = [f"in/{number:02}.docx" for number in range(12)]
BUCKET = "examplebucket-1250000000"


@pytest.fixture
def local_ci(tmp_path: Path) -> Iterator[LocalCI]:
    """A local CI with two queues for each feature; each queue holds at most eight jobs."""
    (tmp_path / "buckets" / BUCKET).mkdir(parents=True)
    with LocalCI(tmp_path / "buckets", convert="instant", queues=2, queue_size=8) as server:
        yield server


@pytest.fixture
def queue_ids(client: CIClient) -> list[str]:
    return [queue.queue_id for queue in client.list_doc_queues()]


def used(client: CIClient) -> Counter[str]:
    return Counter(job.queue_id for job in client.list_doc_jobs())


# Which queue gets the next job


def shares(*rates: int, seconds: float = 10.0) -> tuple[QueueShares, list[str]]:
    """Empty queues, in each of which the given number of jobs ended in the last ``seconds``."""
    now = [0.0]
    names = [f"q{number}" for number in range(len(rates))]
    made = QueueShares(names, now=lambda: now[0])
    now[0] += seconds
    made.note_state({}, dict(zip(names, rates, strict=True)))
    return made, names


@pytest.mark.parametrize("rates", [(0, 0), (10, 10), (30, 10), (100, 0, 50)])
def test_jobs_go_where_they_are_done_first(rates: tuple[int, ...]) -> None:
    made, names = shares(*rates)
    taken = Counter(made.take() for _ in range(1200))
    total = sum(rates) + len(rates)
    for name, rate in zip(names, rates, strict=True):
        assert abs(taken[name] - 1200 * (rate + 1) / total) <= 1 + len(rates)


def test_a_queue_that_is_full_rests_while_another_one_takes_jobs() -> None:
    made, (first, second) = shares(5, 1)
    assert made.take() == first
    made.give_back(first, is_refused=True)
    assert made.has_open_queue
    assert {made.take() for _ in range(50)} == {second}
    made.give_back(second, is_refused=True)
    assert not made.has_open_queue
    assert made.take() == first, "when all are full, each is tried"


def test_what_a_queue_did_long_ago_counts_less() -> None:
    now = [0.0]
    made = QueueShares(["old", "new"], now=lambda: now[0])
    made.note_state({}, {"old": 100})
    now[0] += 600
    made.note_state({}, {"new": 100})
    taken = Counter(made.take() for _ in range(100))
    assert taken["new"] > 90
    assert taken["old"] > 0, "it may have become quick again"


# Batches


def test_all_queues_are_used(
    client: CIClient, fill_bucket: Fill, batch: Make, queue_ids: list[str], live_jobs: Count
) -> None:
    fill_bucket(*KEYS)
    assert len(queue_ids) == 2
    summary = batch(client, queue_ids=queue_ids).run()
    assert (summary.succeeded, summary.jobs) == (12, 12)
    assert used(client).keys() == set(queue_ids)
    assert live_jobs(client) == dict.fromkeys(KEYS, 1)


def test_a_full_or_paused_queue_leaves_the_jobs_to_the_other(
    client: CIClient, fill_bucket: Fill, batch: Make, queue_ids: list[str], bucket: Path
) -> None:
    fill_bucket(*KEYS)
    paused, other = queue_ids
    client.pause_doc_queue(paused)
    made = batch(client, queue_ids=queue_ids)
    assert made.advance(patience=2, deadline=time.time() + 60) is None
    counts = used(client)
    assert counts[paused] + counts[other] == 12
    assert counts[other] >= 4, "the paused queue takes at most 8"
    client.resume_doc_queue(paused)
    assert batch(client, queue_ids=queue_ids).run().succeeded == 12


@pytest.mark.parametrize("loses", ["nothing", "plan", "ledger"])
def test_jobs_of_all_queues_are_adopted_after_a_crash(
    loses: str,
    client: CIClient,
    fill_bucket: Fill,
    batch: Make,
    queue_ids: list[str],
    bucket: Path,
    live_jobs: Count,
    end_leases: End,
) -> None:
    fill_bucket(*KEYS)
    for queue_id in queue_ids:
        client.pause_doc_queue(queue_id)
    die(batch(client, queue_ids=queue_ids, progress=dies(1)))
    lost = {"nothing": "none", "plan": f"{FOLDER}plan.json", "ledger": "_ci_batches*/**/*"}[loses]
    for path in bucket.glob(lost):
        if path.is_file():
            path.unlink()
    end_leases()
    for queue_id in queue_ids:
        client.resume_doc_queue(queue_id)
    summary = batch(client, queue_ids=queue_ids).run()
    assert summary.succeeded + summary.skipped == 12
    assert live_jobs(client) == dict.fromkeys(KEYS, 1)


def test_the_plan_keeps_its_queues(
    client: CIClient, fill_bucket: Fill, batch: Make, queue_ids: list[str], live_jobs: Count, end_leases: End
) -> None:
    fill_bucket(*KEYS)
    die(batch(client, queue_ids=queue_ids, max_in_flight=4, progress=dies(1)))
    end_leases()
    assert batch(client, queue_id=queue_ids[0]).run().succeeded == 12
    assert set(used(client)) == set(queue_ids)
    assert live_jobs(client) == dict.fromkeys(KEYS, 1)


def test_a_trigger_watches_all_queues(
    client: CIClient, fill_bucket: Fill, batch: Make, queue_ids: list[str]
) -> None:
    fill_bucket(*KEYS)
    for queue_id in queue_ids:
        client.pause_doc_queue(queue_id)
    made = batch(client, queue_ids=queue_ids)
    assert made.advance(patience=0, deadline=time.time() + 60) is None
    watch = BatchWatch(client, made.parked["folder"], pace=FAST, pause_seconds=2)
    client.resume_doc_queue(queue_ids[0])

    def pending_after_a_look() -> int:
        watch.look()
        return watch.pending

    wait_until(lambda: pending_after_a_look() == used(client)[queue_ids[1]])
    assert not watch.is_due
    with pytest.raises(QueueStaysPausedError, match=queue_ids[1]):
        wait_until(lambda: pending_after_a_look() == 0)
    client.resume_doc_queue(queue_ids[1])
    wait_until(lambda: pending_after_a_look() == 0)
    assert watch.is_due


def test_queues_of_documents_and_pictures_are_told_apart(
    client: CIClient, fill_bucket: Fill, batch: Make, queue_ids: list[str]
) -> None:
    fill_bucket(*KEYS[:6])
    pictures = [queue.queue_id for queue in client.list_pic_queues()]
    operations = {
        "page": (DocProcess(target="jpg", start_page=1, end_page=1), "pages/{stem}.jpg"),
        "small": (PicProcess("imageMogr2/thumbnail/!50p"), "small/{stem}.jpg", "page"),
    }
    made: dict[str, Any] = {"operation": None, "output": "", "operations": operations}
    assert batch(client, queue_ids=[*queue_ids, *pictures], **made).run().succeeded == 6
    assert used(client).keys() <= set(queue_ids)
    assert {job.queue_id for job in client.list_pic_jobs()} <= set(pictures)
    with pytest.raises(
        ValueError, match="'p123' is not a queue of the bucket for DocProcess or PicProcess jobs"
    ):
        batch(client, queue_ids=["p123"], batch_id="wrong", **made).run()


@pytest.mark.parametrize("options", [{"queue_id": "p1", "queue_ids": ["p2"]}, {"queue_ids": "p1"}])
def test_queues_are_a_list(options: dict[str, Any], client: CIClient, batch: Make) -> None:
    with pytest.raises(ValueError, match="queue_ids"):
        batch(client, **options)
