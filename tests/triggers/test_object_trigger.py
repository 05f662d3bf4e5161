from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent

from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.batch.sources.arrivals import Arrival
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.triggers import CIObjectsTrigger

Fill = Callable[..., None]


def trigger(*, min_objects: int = 1, settled_seconds: float = 0, **options: Any) -> CIObjectsTrigger:
    arrival = Arrival(
        source=ObjectSelection(prefix="in/"), min_objects=min_objects, settled_seconds=settled_seconds
    )
    arguments = {
        "tencent_ci_conn_id": "tencent_ci_default",
        "deadline": time.time() + 30,
        "poll_interval": 0.1,
        "first_wait": 0.0,
        **options,
    }
    return CIObjectsTrigger(arrival=arrival.to_json(), **arguments)


def events(waiting: CIObjectsTrigger) -> list[dict[str, Any]]:
    async def collect() -> list[TriggerEvent]:
        return [event async for event in waiting.run()]

    return [event.payload for event in asyncio.run(collect())]


TIMEOUT = {"status": "timeout", "message": "", "found": {}}


def test_it_survives_the_round_trip_through_airflows_database(connection: dict[str, Any]) -> None:
    before = trigger(deadline=1_900_000_000.5, bucket="b-1", region="ap-beijing", settled_seconds=2.5)
    path, arguments = before.serialize()
    assert path == "airflow_provider_ci.triggers.CIObjectsTrigger"
    assert CIObjectsTrigger(**json.loads(json.dumps(arguments))).serialize() == before.serialize()


def test_it_fires_once_with_what_it_found(connection: dict[str, Any], fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx", "in/b.docx", content=b"four")
    (event,) = events(trigger(min_objects=2))
    assert (event["status"], event["message"]) == ("done", "")
    assert (event["found"]["objects"], event["found"]["bytes"]) == (2, 8)


def test_it_waits_until_enough_have_come(connection: dict[str, Any], fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx")

    async def upload_while_waiting() -> dict[str, Any]:
        waiting = asyncio.ensure_future(trigger(min_objects=2).run().__anext__())
        await asyncio.sleep(0.5)
        assert not waiting.done()
        fill_bucket("in/b.docx")
        return dict((await waiting).payload)

    assert asyncio.run(upload_while_waiting())["found"]["objects"] == 2


def test_what_only_has_to_settle_is_looked_at_as_soon_as_it_can_have(
    connection: dict[str, Any], fill_bucket: Fill
) -> None:
    """If the trigger waited for its whole poll interval, the next check would come after the deadline."""
    fill_bucket("in/a.docx")
    (event,) = events(trigger(settled_seconds=1, poll_interval=3600))
    assert event["status"] == "done"


def test_before_its_first_look_it_waits(connection: dict[str, Any], fill_bucket: Fill) -> None:
    """The sensor has checked just before it deferred."""
    fill_bucket("in/a.docx")
    began = time.monotonic()
    assert events(trigger(first_wait=0.5))[0]["status"] == "done"
    assert time.monotonic() - began > 0.5


def test_the_deadline_is_absolute(connection: dict[str, Any], fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx")
    assert events(trigger(deadline=time.time() - 1)) == [TIMEOUT]


def test_what_does_not_come_times_out(connection: dict[str, Any]) -> None:
    assert events(trigger(deadline=time.time() + 0.5)) == [TIMEOUT]


def test_a_service_that_stays_away_is_waited_for_until_the_deadline(
    connection: dict[str, Any], local_ci: LocalCI
) -> None:
    local_ci.stop()
    assert events(trigger(deadline=time.time() + 0.5)) == [TIMEOUT]


def test_a_service_that_comes_back_is_no_error(
    connection: dict[str, Any], fill_bucket: Fill, local_ci: LocalCI
) -> None:
    fill_bucket("in/a.docx")
    local_ci.faults.add("error", status=503, code="ServiceUnavailable", count=3, retry_after=10_000)
    assert events(trigger())[0]["status"] == "done"


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda server: server.faults.add("error", status=403, code="AccessDenied", count=9), "AccessDenied"),
        (lambda server: (server.root / "examplebucket-1250000000").rmdir(), "NoSuchBucket"),
    ],
    ids=["denied", "no bucket"],
)
def test_what_no_waiting_heals_is_an_event_that_says_why(
    connection: dict[str, Any], local_ci: LocalCI, break_it: Callable[[LocalCI], None], words: str
) -> None:
    break_it(local_ci)
    (event,) = events(trigger())
    assert event["status"] == "error"
    assert words in event["message"]


def test_a_connection_that_cannot_be_used_is_an_event(
    connection: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_TENCENT_CI_DEFAULT", json.dumps({"conn_type": "tencent_ci"}))
    (event,) = events(trigger())
    assert event["status"] == "error"
    assert "SecretId" in event["message"]


def test_the_event_loop_is_never_blocked(
    connection: dict[str, Any], fill_bucket: Fill, local_ci: LocalCI
) -> None:
    """While the service is slow to respond, the other triggers in the event loop keep running."""
    fill_bucket("in/a.docx")
    local_ci.faults.add("slow", seconds=1.0, count=1, method="GET")

    async def beat_while_waiting() -> int:
        beats = 0
        task = asyncio.ensure_future(trigger().run().__anext__())
        while not task.done():
            beats += 1
            await asyncio.sleep(0.01)
        return beats

    assert asyncio.run(beat_while_waiting()) > 20
