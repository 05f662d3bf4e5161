from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_ci.batch import Batch, ObjectSelection
from airflow_provider_ci.batch.reports.folder import batch_folder
from airflow_provider_ci.client import CIClient, DocProcess, JobState
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.triggers import CIBatchTrigger, CIJobTrigger

Fill = Callable[..., None]

PDF = DocProcess(target="pdf")
FOLDER = batch_folder("_ci_batches/", "b")


def batch(client: CIClient, **options: Any) -> Batch:
    return Batch(client, ObjectSelection(prefix="in/"), PDF, "out/{stem}.pdf", batch_id="b", **options)


def left_waiting(client: CIClient, **options: Any) -> None:
    """Submit the first window of a batch, then stop, as a task does when it defers."""
    assert batch(client, **options).advance(patience=0, deadline=time.time() + 60) is None


def trigger(**options: Any) -> CIBatchTrigger:
    arguments = {
        "folder": FOLDER,
        "deadline": time.time() + 30,
        "poll_interval": 0.1,
        **options,
    }
    return CIBatchTrigger(**arguments)


def events(waiting: BaseTrigger) -> list[dict[str, Any]]:
    async def collect() -> list[TriggerEvent]:
        return [event async for event in waiting.run()]

    return [event.payload for event in asyncio.run(collect())]


@pytest.fixture
def paused(client: CIClient) -> None:
    (queue,) = client.list_doc_queues()
    client.pause_doc_queue(queue.queue_id)


def test_it_survives_the_round_trip_through_airflows_database() -> None:
    before = trigger(deadline=1_900_000_000.5, cancel_on_kill=False, bucket="b-1", pause_seconds=5.0)
    path, arguments = before.serialize()
    assert path == "airflow_provider_ci.triggers.CIBatchTrigger"
    assert CIBatchTrigger(**json.loads(json.dumps(arguments))).serialize() == before.serialize()


@pytest.mark.parametrize("local_ci", [0.5], indirect=True)
def test_it_fires_once_when_the_last_jobs_have_ended_and_the_batch_then_ends(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(4)))
    left_waiting(client)
    (event,) = events(trigger())
    assert (event["status"], event["pending"]) == ("due", 0)
    summary = batch(client).advance(patience=0, deadline=event["deadline"])
    assert summary is not None
    assert (summary.succeeded, summary.jobs) == (4, 4)


@pytest.mark.parametrize("local_ci", [0.3], indirect=True)
def test_with_more_to_submit_it_fires_while_a_part_of_the_window_is_left(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill
) -> None:
    """The remaining jobs keep the service busy until the resumed task submits more."""
    fill_bucket(*(f"in/{number:02}.docx" for number in range(24)))
    left_waiting(client, max_in_flight=12)
    (event,) = events(trigger())
    assert event["status"] == "due"
    assert event["pending"] <= 3


@pytest.mark.parametrize("kind", ["batch", "job"])
def test_a_trigger_never_fires_at_once(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill, paused: None, kind: str
) -> None:
    """Airflow 3.3.0 to 3.3.2 fails a task whose trigger fires before its deferral is recorded."""
    fill_bucket("in/a.docx")
    left_waiting(client)
    (job,) = client.list_doc_jobs()
    client.cancel_doc_job(job.job_id)
    options: dict[str, Any] = {"deadline": time.time() + 30}
    waiting: dict[str, CIBatchTrigger | CIJobTrigger] = {
        "batch": CIBatchTrigger(folder=FOLDER, poll_interval=0.7, **options),
        "job": CIJobTrigger(job_ids=[job.job_id], poll_interval=0.7, **options),
    }
    began = time.monotonic()
    assert events(waiting[kind])[0]["status"] in ("due", "done")
    assert time.monotonic() - began >= 0.7


def test_the_deadline_is_absolute(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill, paused: None
) -> None:
    fill_bucket("in/a.docx")
    left_waiting(client)
    deadline = time.time() - 1
    assert events(trigger(deadline=deadline)) == [
        {"status": "timeout", "message": "", "pending": 1, "deadline": deadline}
    ]


def test_a_queue_that_stays_paused_is_an_event(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill, paused: None
) -> None:
    fill_bucket("in/a.docx")
    left_waiting(client)
    (event,) = events(trigger(pause_seconds=0.2))
    assert event["status"] == "paused"
    assert "queue" in event["message"]


def test_a_deleted_ledger_lets_the_batch_resume(connection: dict[str, Any]) -> None:
    """The resumed task makes a new plan, or reports that the state of objects is unknown."""
    (event,) = events(trigger())
    assert (event["status"], event["pending"]) == ("due", 0)


def test_a_service_that_answers_late_is_waited_out(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill, local_ci: LocalCI
) -> None:
    fill_bucket("in/a.docx")
    left_waiting(client)
    local_ci.faults.add("error", status=503, code="ServiceUnavailable", count=2, path="/doc_jobs")
    assert events(trigger())[0]["status"] == "due"


def test_a_kill_that_airflow_does_not_confirm_cancels_nothing(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill, paused: None
) -> None:
    """A triggerer that lost its heartbeat also calls on_kill for triggers that another one has taken over."""
    fill_bucket("in/a.docx")
    left_waiting(client)
    asyncio.run(trigger().on_kill())
    (job,) = client.list_doc_jobs()
    assert job.state is JobState.PAUSE
