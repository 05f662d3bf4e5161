"""What a page reads from the ledger of a batch: while the batch waits, and after its end."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from airflow_provider_ci.batch import Batch, ObjectSelection
from airflow_provider_ci.batch.reports.folder import batch_folder
from airflow_provider_ci.client import CIClient, DocProcess
from airflow_provider_ci.plugin import live, results
from airflow_provider_ci.plugin.ledger import Ledger
from airflow_provider_ci.plugin.results import Filter
from tests.cluster.cluster import wait_until

FOLDER = batch_folder("_ci_batches/", "looked at")


@pytest.fixture
def looked_at(client: CIClient, fill_bucket: Callable[..., None]) -> Batch:
    fill_bucket("in/a.docx", "in/b.docx", "in/c.docx")
    fill_bucket("in/bad.docx", content=b"")
    source = ObjectSelection(prefix="in/")
    return Batch(client, source, DocProcess(), "out/{stem}.pdf", batch_id="looked at", max_failures=1)


def test_jobs_that_have_ended_are_counted_before_the_batch_collects_them(
    client: CIClient, looked_at: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "EVERY_SECONDS", 0.0)
    assert looked_at.advance(patience=0, deadline=time.time() + 60) is None
    ledger = Ledger(client, FOLDER)
    assert ledger.report is None
    assert ledger.state is not None
    window = len(ledger.state.running)
    assert window > 0
    wait_until(lambda: live.count_ended(ledger) == window, "all jobs are seen to have ended", 30)
    assert results.page_of(ledger, Filter(), 0).rows == []


def test_many_who_look_ask_the_service_once(
    client: CIClient, looked_at: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert looked_at.advance(patience=0, deadline=time.time() + 60) is None
    asked: list[int] = []

    def ended(self: object, pending: dict[str, object]) -> list[object]:
        asked.append(len(pending))
        return []

    monkeypatch.setattr("airflow_provider_ci.plugin.live.JobsInFlight.ended", ended)
    for _ in range(5):
        live.count_ended(Ledger(client, FOLDER))
    assert len(asked) == 1


def test_an_ended_batch_is_read_from_its_report(client: CIClient, looked_at: Batch) -> None:
    looked_at.run()
    ledger = Ledger(client, FOLDER)
    assert ledger.report is not None
    everything = results.page_of(ledger, Filter(), 0)
    assert [row.key for row in everything.rows] == ["in/a.docx", "in/b.docx", "in/bad.docx", "in/c.docx"]
    (failed,) = results.page_of(ledger, Filter("bad"), 0).rows
    assert (failed.key, failed.state, failed.attempts) == ("in/bad.docx", "failed", 1)
    planned = ledger.planned(failed.index)
    assert planned is not None
    assert planned.key == "in/bad.docx"
    found = results.find(ledger, planned)
    assert found is not None
    assert found.code == "EmptyFile"
    assert ledger.planned(4) is None


def test_how_a_batch_went_has_as_many_jobs_as_were_submitted(client: CIClient, looked_at: Batch) -> None:
    summary = looked_at.run()
    course = Ledger(client, FOLDER).course(summary.total, summary.skipped, summary.jobs)
    assert all(value >= 0 for _, value in (*course.throughput, *course.depth))
    assert max((value for _, value in course.depth), default=0.0) <= summary.jobs
