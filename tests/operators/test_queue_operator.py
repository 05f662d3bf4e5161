from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Context

from airflow_provider_ci.client import CIClient, DocProcess, JobState, NotFoundError, NotifyConfig, QueueState
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.objects.store import STATE_FOLDER
from airflow_provider_ci.operators import AmbiguousQueueError, CIQueueOperator

RunDag = Callable[..., Any]
Fill = Callable[..., None]

DAG_TEXT = """
from airflow.sdk import DAG
from airflow_provider_ci.client import NotifyConfig
from airflow_provider_ci.operators import CIQueueOperator

with DAG(DAG_ID, schedule=None, params={"kind": "pic", "state": "Paused", "host": "127.0.0.1:9"}) as dag:
    %s
"""


def change(**options: Any) -> dict[str, Any]:
    return CIQueueOperator(task_id="change", **{"kind": "doc", **options}).execute(Context())


def test_pausing_holds_the_jobs_that_wait_and_resuming_lets_them_go(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill
) -> None:
    fill_bucket("a.docx")
    paused = change(state="Paused")
    job = client.submit_doc_job("a.docx", "out/a.pdf", DocProcess(target="pdf"))
    assert (paused["state"], job.state) == ("Paused", JobState.PAUSE)
    assert change(state=QueueState.ACTIVE) == {**paused, "state": "Active"}
    while not (job := client.get_doc_job(job.job_id)).state.is_final:
        time.sleep(0.05)
    assert job.state is JobState.SUCCESS


@pytest.mark.parametrize("kind", ["doc", "pic", "media"])
def test_only_the_queue_of_the_kind_is_changed(
    connection: dict[str, Any], client: CIClient, kind: str
) -> None:
    change(kind=kind, state="Paused", name="night shift")
    queues = {
        "doc": client.list_doc_queues(),
        "pic": client.list_pic_queues(),
        "media": client.list_media_queues(),
    }
    changed = {name: (queue.name, str(queue.state)) for name, (queue,) in queues.items()}
    assert changed.pop(kind) == ("night shift", "Paused")
    assert {state for _, state in changed.values()} == {"Active"}


def test_what_is_not_given_stays(connection: dict[str, Any], client: CIClient) -> None:
    change(state="Paused", notify=NotifyConfig("http://127.0.0.1:9/done", format="JSON"))
    change(name="night shift")
    (queue,) = client.list_doc_queues()
    assert (queue.name, queue.state) == ("night shift", QueueState.PAUSED)
    assert queue.notify == NotifyConfig("http://127.0.0.1:9/done", format="JSON")


def test_a_queue_can_be_named(connection: dict[str, Any], client: CIClient) -> None:
    (queue,) = client.list_doc_queues()
    assert change(queue_id=queue.queue_id, state="Paused")["queue_id"] == queue.queue_id
    with pytest.raises(NotFoundError, match="pnope"):
        change(queue_id="pnope", state="Paused")


def test_all_fields_are_templates_also_inside_the_callback(run_dag: RunDag, client: CIClient) -> None:
    result = run_dag(
        DAG_TEXT
        % """CIQueueOperator(task_id="change", kind="{{ params.kind }}", state="{{ params.state }}",
        name="queue of {{ ti.task_id }}", notify=NotifyConfig("http://{{ params.host }}/done"))"""
    )
    assert result.state == "success"
    (queue,) = client.list_pic_queues()
    returned = {"queue_id": queue.queue_id, "name": "queue of change", "state": "Paused"}
    assert result.results == {"change": returned}
    assert queue.notify is not None
    assert queue.notify.url == "http://127.0.0.1:9/done"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "queue", "state": "Paused"}, "kind must be one of doc, pic, media"),
        ({}, "nothing to change"),
        ({"state": "Sleeping"}, "CIQueueOperator.state must be one of Active, Paused, not 'Sleeping'"),
    ],
)
def test_what_makes_no_sense_is_refused(
    connection: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        change(**options)


@pytest.mark.parametrize("state", ["paused", "PAUSED", QueueState.PAUSED])
def test_a_state_may_be_written_in_any_case(connection: dict[str, Any], state: Any) -> None:
    assert change(state=state)["state"] == "Paused"


def test_of_several_queues_one_must_be_named(
    connection: dict[str, Any], client: CIClient, local_ci: LocalCI
) -> None:
    """Only the service's support can add a queue; this test adds one in the local CI's database."""
    (queue,) = client.list_doc_queues()
    with closing(sqlite3.connect(Path(local_ci.root) / STATE_FOLDER / "state.sqlite")) as database, database:
        database.execute(
            "INSERT INTO queues SELECT 'p' || queue_id, bucket, category, name, state, notify, created,"
            " updated FROM queues WHERE queue_id = ?",
            (queue.queue_id,),
        )
    with pytest.raises(AmbiguousQueueError, match=rf"{queue.queue_id}.*give queue_id"):
        change(state="Paused")
