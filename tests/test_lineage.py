"""The events that the OpenLineage provider emits about our tasks, written to a file by its file transport."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_ci.batch import BatchSummary, ObjectKeys
from airflow_provider_ci.client import CIClient, DocProcess
from airflow_provider_ci.lineage import batch_lineage
from airflow_provider_ci.operators import CIDocProcessOperator

Fill = Callable[..., None]

NAMESPACE = "cos://examplebucket-1250000000"
DAG_TEXT = """
from airflow.sdk import DAG
from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.client import DocProcess, PicProcess
from airflow_provider_ci.operators import CIBatchOperator, CIDocProcessOperator, CIPicProcessOperator

with DAG("lineage", schedule=None, params={"folder": "in"}) as dag:
    CIBatchOperator(
        task_id="batch", source=ObjectSelection(prefix="{{ params.folder }}/"), operation=DocProcess(),
        output="pdf/{dir}{stem}.pdf", max_failures=1, poll_interval=0.1,
    )
    CIBatchOperator(
        task_id="failing", source=["in/good.docx", "in/empty.docx"], operation=DocProcess(),
        output="pdf2/{stem}.pdf", poll_interval=0.1,
    )
    CIBatchOperator(
        task_id="pictures", source=["photo.png"], operation=PicProcess("imageMogr2/rotate/90"),
        output="turned/{stem}.png", poll_interval=0.1,
    )
    CIDocProcessOperator(
        task_id="document", input_key="in/good.docx", output_key="single/good.pdf", operation=DocProcess(),
        poll_interval=0.1,
    )
    CIDocProcessOperator(
        task_id="empty", input_key="in/empty.docx", output_key="single/empty.pdf", operation=DocProcess(),
        poll_interval=0.1,
    )
    CIPicProcessOperator.partial(
        task_id="picture", operation=PicProcess("imageMogr2/rotate/90"), poll_interval=0.1,
        input_key="photo.png",
    ).expand(output_key=["turned.png", "turned/again.png"])
"""


@pytest.fixture
def events(
    airflow_database: None, connection: dict[str, Any], fill_bucket: Fill, tmp_path: Path
) -> Iterator[list[dict[str, Any]]]:
    """The events about the tasks of a DAG run, which runs in a process that has the file transport."""
    fill_bucket("in/good.docx", content=b"x" * 100)
    fill_bucket("in/deep/also.docx", content=b"x" * 11)
    fill_bucket("in/empty.docx", content=b"")
    fill_bucket("photo.png", content=b"x" * 7)
    path = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]) / "lineage.py"
    path.write_text(DAG_TEXT)
    log = tmp_path / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(log), "append": True}
    subprocess.run(
        [sys.executable, "-m", "airflow", "dags", "test", "lineage"],
        env={**os.environ, "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport)},
        capture_output=True,
    )
    yield [json.loads(line) for line in log.read_text().splitlines()]
    path.unlink()


def of_task(events: list[dict[str, Any]], task_id: str, event_type: str) -> list[dict[str, Any]]:
    return [
        event
        for event in events
        if (event["job"]["name"], event["eventType"]) == (f"lineage.{task_id}", event_type)
    ]


def datasets(event: dict[str, Any]) -> list[tuple[str, str, int | None, int | None]]:
    """Namespace, name, number of objects and bytes of each dataset: first the inputs, then the outputs."""
    found = []
    for direction in ("input", "output"):
        for dataset in event[f"{direction}s"]:
            facet = dataset[f"{direction}Facets"][f"{direction}Statistics"]
            found.append((dataset["namespace"], dataset["name"], facet.get("fileCount"), facet.get("size")))
    return found


def test_tasks_tell_prefixes_with_counts_and_bytes(events: list[dict[str, Any]], bucket: Path) -> None:
    (batch,) = of_task(events, "batch", "COMPLETE")
    assert datasets(batch) == [(NAMESPACE, "in", 3, 111), (NAMESPACE, "pdf", 2, None)]
    (failing,) = of_task(events, "failing", "FAIL")
    assert datasets(failing) == [(NAMESPACE, "in", 2, 100), (NAMESPACE, "pdf2", 1, None)]
    (pictures,) = of_task(events, "pictures", "COMPLETE")
    assert datasets(pictures) == [
        (NAMESPACE, "/", 1, 7),
        (NAMESPACE, "turned", 1, size_of(bucket / "turned/photo.png")),
    ]
    (document,) = of_task(events, "document", "COMPLETE")
    assert datasets(document) == [(NAMESPACE, "in", 1, 100), (NAMESPACE, "single", 1, None)]
    (empty,) = of_task(events, "empty", "FAIL")
    assert datasets(empty) == []
    first, second = sorted(map(datasets, of_task(events, "picture", "COMPLETE")), key=str)
    assert first == [(NAMESPACE, "/", 1, 7), (NAMESPACE, "/", 1, size_of(bucket / "turned.png"))]
    assert second == [(NAMESPACE, "/", 1, 7), (NAMESPACE, "turned", 1, size_of(bucket / "turned/again.png"))]


def size_of(path: Path) -> int:
    return path.stat().st_size


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (["in/a/1.docx", "in/a/2.docx"], "in/a"),
        (["in/a/1.docx", "in/also.docx"], "in"),
        (["in/a.docx", "out/a.docx"], "/"),
        (["in/a.docx"], "in"),
        ([], "/"),
    ],
)
def test_keys_are_told_by_the_folder_that_all_are_in(keys: list[str], name: str) -> None:
    counts = dict.fromkeys(("total", "succeeded", "failed", "skipped", "cancelled", "unfinished"), 0)
    summary = BatchSummary.from_json({"batch_id": "b", "seconds": 1.0, "report_key": "r", **counts})
    for source in (keys, ObjectKeys(keys=keys)):
        told = batch_lineage("examplebucket-1250000000", source, "out/{stem}.pdf", summary)
        assert [(read.namespace, read.name) for read in told.inputs] == [(NAMESPACE, name)]


class Instance:
    """The parts of a task instance that an operator uses in these tests."""

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed = (key, value)


@pytest.mark.parametrize("local_ci", [0.4], indirect=True)
def test_a_deferred_job_tells_the_size_that_its_input_had(
    connection: dict[str, Any], fill_bucket: Fill, client: CIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ci.operators.jobs._INLINE_SECONDS", 0.0)
    fill_bucket("in/a.docx", content=b"x" * 100)
    operator = {
        each: CIDocProcessOperator(
            task_id="convert",
            input_key="in/a.docx",
            output_key="out/a.pdf",
            operation=DocProcess(),
            deferrable=True,
        )
        for each in ("before", "after")
    }
    context: Any = {"ti": Instance()}
    with pytest.raises(TaskDeferred) as deferral:
        operator["before"].execute(context)
    (job_id,) = deferral.value.trigger.job_ids
    while not client.get_doc_job(job_id).state.is_final:
        time.sleep(0.05)
    event = {"status": "done", "job_ids": [job_id], "pending": []}
    operator["after"].execute_complete(context, event, **(deferral.value.kwargs or {}))
    told = operator["after"].get_openlineage_facets_on_complete(None)
    assert told is not None
    assert told.inputs[0].inputFacets["inputStatistics"].size == 100
