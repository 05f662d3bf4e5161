from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, BatchSummary, ObjectResult, ObjectState, Pace
from airflow_provider_ci.batch.run.parked import BatchWatch
from airflow_provider_ci.client import CIClient, CIError, CIServiceError, DocProcess
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import FOLDER, pause, wait_until

Fill = Callable[..., None]
Make = Callable[..., Batch]
Count = Callable[[CIClient], "Counter[str]"]
Results = Callable[..., dict[str, ObjectResult]]
Connect = Callable[..., CIClient]


def watch(client: CIClient, **options: Any) -> BatchWatch:
    return BatchWatch(
        client,
        FOLDER,
        **{"pace": Pace(shortest=0.02, longest=0.1), "pause_seconds": 60, **options},
    )


def advance(batch: Batch) -> BatchSummary | None:
    return batch.advance(patience=0, deadline=time.time() + 60)


def cancel(client: CIClient, count: int) -> None:
    """Cancel the first ``count`` jobs that have not ended."""
    jobs = [job for job in client.list_doc_jobs() if not job.state.is_final]
    for job in jobs[:count]:
        client.cancel_doc_job(job.job_id)


def test_a_batch_goes_window_by_window_to_its_end(
    client: CIClient, fill_bucket: Fill, batch: Make, live_jobs: Count, results: Results
) -> None:
    keys = {f"in/{number}.docx" for number in range(10)}
    fill_bucket(*keys)
    made, rounds = batch(client, max_in_flight=3), 0
    while (summary := advance(made)) is None:
        rounds += 1
        between = watch(client)
        while not between.is_due:
            time.sleep(between.wait_seconds())
            between.look()
    assert rounds > 2
    assert (summary.succeeded, summary.jobs) == (10, 10)
    assert live_jobs(client) == dict.fromkeys(keys, 1)
    assert results(client).keys() == keys


def test_it_leaves_with_its_jobs_in_the_ledger(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(10)))
    pause(client)
    assert advance(batch(client, max_in_flight=4)) is None
    assert watch(client).pending == len(list(client.list_doc_jobs())) == 4
    assert advance(batch(client, max_in_flight=4)) is None
    assert watch(client).pending == len(list(client.list_doc_jobs())) == 4, "there is no room for more"


def test_with_patience_a_short_batch_ends_in_place(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    summary = batch(client).advance(patience=60, deadline=time.time() + 60)
    assert summary is not None
    assert summary.succeeded == 2


def test_with_more_to_submit_a_quarter_of_the_window_is_enough(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(9)))
    pause(client)
    advance(batch(client, max_in_flight=8))
    between = watch(client)
    for ended, is_due in ((0, False), (5, False), (1, True)):
        cancel(client, ended)
        between.look()
        assert between.is_due is is_due
    assert between.pending == 2


def test_with_nothing_more_to_submit_all_must_have_ended(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(8)))
    pause(client)
    advance(batch(client, max_in_flight=8))
    between = watch(client)
    for ended, is_due in ((7, False), (1, True)):
        cancel(client, ended)
        between.look()
        assert between.is_due is is_due


def test_what_the_watch_cancels_is_submitted_again(
    client: CIClient, fill_bucket: Fill, batch: Make, live_jobs: Count, results: Results
) -> None:
    keys = {f"in/{number}.docx" for number in range(6)}
    fill_bucket(*keys)
    resume = pause(client)
    advance(batch(client, max_in_flight=4))
    watch(client).cancel()
    assert not live_jobs(client)
    resume()
    summary = batch(client).run()
    assert (summary.succeeded, summary.jobs) == (6, 10)
    assert live_jobs(client) == dict.fromkeys(keys, 1)
    assert {found.state for found in results(client).values()} == {ObjectState.SUCCEEDED}


def test_after_that_a_cancelled_job_is_again_somebody_elses_wish(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    pause(client)
    advance(batch(client))
    watch(client).cancel()
    assert advance(batch(client, max_failures=2)) is None
    cancel(client, 2)
    summary = batch(client, max_failures=2).run()
    assert (summary.cancelled, summary.jobs) == (2, 4)


def test_without_a_plan_the_batch_is_resumed_after_a_while(client: CIClient) -> None:
    """A plan is missing while another run is making it, or if the records were deleted."""
    between = watch(client, pace=Pace(longest=5))
    assert (between.pending, between.is_due) == (0, False)
    between.look()
    wait_until(lambda: between.is_due)


def test_a_service_that_is_away_is_asked_again_and_a_refusal_is_told(
    local_ci: LocalCI, client_of: Connect, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx")
    with client_of(local_ci) as client:
        pause(client)
        advance(batch(client))
        between = watch(client)
        local_ci.faults.add("cut_before", count=10_000)
        between.look()
        assert between.pending == 1
        local_ci.faults.clear()
        local_ci.faults.add("error", code="AccessDenied", count=10_000)
        with pytest.raises(CIServiceError, match="AccessDenied"):
            between.look()


def test_a_service_that_takes_nothing_ends_the_batch(
    local_ci: LocalCI, client_of: Connect, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    local_ci.faults.add("error", status=503, method="POST", count=10_000)
    with client_of(local_ci) as client, pytest.raises(CIError, match="ServiceUnavailable"):
        advance(batch(client, outage_seconds=0.3))


def test_a_queue_full_of_foreign_jobs_is_tried_again_later(
    tmp_path: Path, client_of: Connect, batch: Make
) -> None:
    inbox = tmp_path / "examplebucket-1250000000/in"
    inbox.mkdir(parents=True)
    (inbox / "a.docx").write_text("text")
    with LocalCI(tmp_path, convert="instant", queue_size=2) as server, client_of(server) as client:
        resume = pause(client)
        for number in range(2):
            client.submit_doc_job("in/a.docx", f"others/{number}.pdf", DocProcess(target="pdf"))
        assert advance(batch(client, outage_seconds=0)) is None
        between = watch(client, pace=Pace(longest=0.3))
        assert between.pending == 0
        time.sleep(between.wait_seconds())
        assert between.is_due
        resume()
        assert batch(client).run().succeeded == 1


@pytest.fixture
def asked(client: CIClient, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Records the service and the method of each request from now on."""
    requests: list[str] = []
    attempt = client._transport._attempt

    def note(request: Any, read: Callable[[Any], Any]) -> Any:
        requests.append(f"{request.service} {request.method}")
        return attempt(request, read)

    monkeypatch.setattr(client._transport, "_attempt", note)
    return requests


def test_waiting_for_hundreds_of_jobs_is_a_request_a_look(
    client: CIClient, fill_bucket: Fill, batch: Make, asked: list[str]
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(300)))
    resume = pause(client)
    assert advance(batch(client)) is None
    submitting = Counter(asked)
    assert submitting.pop("ci POST") == 300
    assert submitting.total() < 40

    between = watch(client, pace=Pace(longest=60), pause_seconds=600)
    asked.clear()
    for _ in range(9):
        between.look()
    assert asked == ["ci GET"] * 9

    asked.clear()
    assert advance(batch(client)) is None
    assert len(asked) < 20, "to look at a batch and to leave it"

    resume()
    while any(not job.state.is_final for job in client.list_doc_jobs()):
        time.sleep(0.05)
    asked.clear()
    between.look()
    assert between.is_due
    assert len(asked) <= 4, "300 ended jobs are three pages"

    asked.clear()
    summary = advance(batch(client))
    assert summary is not None
    assert summary.succeeded == 300
    assert len(asked) < 25
