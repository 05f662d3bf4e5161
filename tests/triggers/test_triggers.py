from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.triggers.base import TriggerEvent

from airflow_provider_ci import triggers
from airflow_provider_ci.client import CIClient, DocProcess, JobState
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.triggers import CIJobTrigger

Fill = Callable[..., None]


def trigger(job_ids: list[str], **options: Any) -> CIJobTrigger:
    arguments = {
        "deadline": time.time() + 30,
        "poll_interval": 0.1,
        **options,
    }
    return CIJobTrigger(job_ids=job_ids, **arguments)


def events(waiting: CIJobTrigger) -> list[dict[str, Any]]:
    async def collect() -> list[TriggerEvent]:
        return [event async for event in waiting.run()]

    return [event.payload for event in asyncio.run(collect())]


def submit(client: CIClient, *keys: str) -> list[str]:
    return [client.submit_doc_job(key, f"out/{key}.pdf", DocProcess(target="pdf")).job_id for key in keys]


def test_it_survives_the_round_trip_through_airflows_database(connection: dict[str, Any]) -> None:
    before = trigger(["d" + "0" * 32], deadline=1_900_000_000.5, cancel_on_kill=False, bucket="b-1")
    path, arguments = before.serialize()
    assert path == "airflow_provider_ci.triggers.CIJobTrigger"
    after = CIJobTrigger(**json.loads(json.dumps(arguments)))
    assert after.serialize() == before.serialize()


@pytest.mark.parametrize("name", ["CIBatchTrigger", "CIJobTrigger", "CIObjectsTrigger"])
def test_the_triggerer_finds_each_trigger_by_the_path_that_deferrals_are_stored_with(name: str) -> None:
    triggerer = TriggerRunner()  # type: ignore[no-untyped-call] # Airflow leaves it untyped
    found = triggerer.get_trigger_by_classpath(f"airflow_provider_ci.triggers.{name}")
    assert found is getattr(triggers, name)


class OwnTrigger(CIJobTrigger):
    """A trigger of a user, derived from one of ours."""


def test_a_derived_trigger_is_stored_with_its_own_path_and_all_arguments() -> None:
    arguments: dict[str, Any] = {
        **{"job_ids": ["d1"], "tencent_ci_conn_id": "other", "deadline": 1_900_000_000.5, "bucket": "b-1"},
        **{"region": "ap-beijing", "poll_interval": 5.0, "cancel_on_kill": False},
    }
    assert OwnTrigger(**arguments).serialize() == (f"{__name__}.OwnTrigger", arguments)


@pytest.mark.parametrize("local_ci", [0.3], indirect=True)
def test_it_fires_once_when_all_jobs_have_ended(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill
) -> None:
    keys = [f"{number}.docx" for number in range(6)]
    fill_bucket(*keys)
    job_ids = submit(client, *keys)
    assert events(trigger(job_ids)) == [{"status": "done", "message": "", "job_ids": job_ids, "pending": []}]
    assert all(client.get_doc_job(job_id).state is JobState.SUCCESS for job_id in job_ids)


def test_failed_jobs_have_ended_too(connection: dict[str, Any], client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("a.docx", content=b"")
    assert events(trigger(submit(client, "a.docx")))[0]["status"] == "done"


@pytest.mark.parametrize("local_ci", [3.0], indirect=True)
def test_the_deadline_is_absolute(connection: dict[str, Any], client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("a.docx")
    job_ids = submit(client, "a.docx")
    assert events(trigger(job_ids, deadline=time.time() - 1)) == [
        {"status": "timeout", "message": "", "job_ids": job_ids, "pending": job_ids}
    ]


def test_an_unknown_job_is_an_event_not_an_exception(connection: dict[str, Any]) -> None:
    job_id = "d" + "0" * 32
    (event,) = events(trigger([job_id]))
    assert event["status"] == "error"
    assert job_id in event["message"]


def test_a_connection_that_cannot_be_used_is_an_event(
    connection: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_TENCENT_CI_DEFAULT", json.dumps({"conn_type": "tencent_ci"}))
    (event,) = events(trigger(["d" + "0" * 32]))
    assert event["status"] == "error"
    assert "SecretId" in event["message"]


def test_what_is_no_job_id_is_an_event(connection: dict[str, Any]) -> None:
    (event,) = events(trigger(["no-job-id!"]))
    assert (event["status"], event["pending"]) == ("error", ["no-job-id!"])
    assert "no-job-id!" in event["message"]


def test_a_refusal_on_the_way_is_an_event_that_says_why(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill, local_ci: LocalCI
) -> None:
    fill_bucket("a.docx")
    job_ids = submit(client, "a.docx")
    local_ci.faults.add("error", code="AccessDenied", method="GET", count=9)
    (event,) = events(trigger(job_ids))
    assert event["status"] == "error"
    assert "AccessDenied" in event["message"]
    assert "request id" in event["message"]


def test_a_service_that_stays_away_is_waited_for_until_the_deadline(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill, local_ci: LocalCI
) -> None:
    fill_bucket("a.docx")
    job_ids = submit(client, "a.docx")
    local_ci.stop()
    assert events(trigger(job_ids, deadline=time.time() + 0.5))[0]["status"] == "timeout"


def test_a_server_that_answers_late_is_waited_out(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill, local_ci: LocalCI
) -> None:
    fill_bucket("a.docx")
    job_ids = submit(client, "a.docx")
    local_ci.faults.add("error", status=503, code="ServiceUnavailable", count=2, method="GET")
    assert events(trigger(job_ids))[0]["status"] == "done"


@pytest.mark.parametrize("local_ci", [0.5], indirect=True)
def test_the_event_loop_is_never_blocked(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill, local_ci: LocalCI
) -> None:
    """While the service is slow to respond, the other triggers in the event loop keep running."""
    fill_bucket("a.docx")
    job_ids = submit(client, "a.docx")
    local_ci.faults.add("slow", seconds=1.0, count=1, method="GET")

    async def beat_while_waiting() -> int:
        beats = 0
        waiting = trigger(job_ids).run()
        task = asyncio.ensure_future(waiting.__anext__())
        while not task.done():
            beats += 1
            await asyncio.sleep(0.01)
        return beats

    assert asyncio.run(beat_while_waiting()) > 20


def test_a_kill_that_airflow_does_not_confirm_cancels_nothing(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill
) -> None:
    """A triggerer that lost its heartbeat also calls on_kill for triggers that another one has taken over."""
    fill_bucket("a.docx")
    job_ids = submit(client, "a.docx")
    waiting = trigger(job_ids)
    asyncio.run(waiting.on_kill())
    assert events(waiting)[0]["status"] == "done"
    assert client.get_doc_job(job_ids[0]).state is JobState.SUCCESS
