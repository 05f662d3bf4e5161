from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_ci.batch import BatchStoppedError, ObjectSelection, ObjectState, read_report
from airflow_provider_ci.batch.reports.folder import batch_folder, report_key
from airflow_provider_ci.client import CIClient, DocProcess, JobState
from airflow_provider_ci.operators import BatchWaitError, CIBatchOperator

RunTasks = Callable[..., Any]
Fill = Callable[..., None]
Printed = Callable[[], str]

BATCH = """CIBatchOperator(
        task_id="all", source=ObjectSelection(prefix="{{ params.folder }}/", suffixes=[".docx"]),
        operation=DocProcess(target="pdf"), output="out/{{ ds_nodash | default('x') }}{dir}{stem}.pdf",
        poll_interval=0.1)"""


def test_a_batch_returns_a_small_summary_and_leaves_a_report(
    run_tasks: RunTasks, fill_bucket: Fill, client: CIClient
) -> None:
    fill_bucket(*(f"in/{number:03}.docx" for number in range(40)))
    result = run_tasks(BATCH)
    assert result.state == "success"
    summary = result.results["all"]
    assert (summary["total"], summary["succeeded"]) == (40, 40)
    assert len(json.dumps(summary)) < 2048
    assert len(list(read_report(client, summary["report_key"]))) == 40
    assert f"_ci_batches/{result.run.dag_id}/all/" in summary["report_key"]


def test_a_batch_that_fails_names_the_object(
    run_tasks: RunTasks, fill_bucket: Fill, client: CIClient, printed: Printed
) -> None:
    fill_bucket("in/good.docx")
    fill_bucket("in/empty.docx", content=b"")
    result = run_tasks(BATCH)
    assert result.tasks == {"all": "failed"}
    assert "1 failed of 2 objects (allowed: 0): 1 × EmptyFile, e.g. in/empty.docx" in printed()
    assert sorted(str(job.state) for job in client.list_doc_jobs()) == ["Failed", "Success"]


def batch(**options: Any) -> CIBatchOperator:
    return CIBatchOperator(
        task_id="all",
        source=ObjectSelection(prefix="in/"),
        operation=DocProcess(target="pdf"),
        output="out/{stem}.pdf",
        poll_interval=0.1,
        **options,
    )


@pytest.mark.parametrize("local_ci", [0.3], indirect=True)
def test_a_killed_batch_stops_and_leaves_its_report(
    context: Any, fill_bucket: Fill, client: CIClient
) -> None:
    """Without Airflow, the operator cannot know whether a user ended the task, so it cancels no job."""
    fill_bucket(*(f"in/{number}.docx" for number in range(4)))
    operator = batch(batch_id="killed")
    threading.Thread(target=kill_when_submitted, args=(operator, client)).start()
    with pytest.raises(BatchStoppedError):
        operator.execute(context)
    report = list(read_report(client, report_key(batch_folder("_ci_batches/", "killed"))))
    assert ObjectState.UNFINISHED in {found.state for found in report}
    assert len(report) == 4
    assert JobState.CANCEL not in {job.state for job in client.list_doc_jobs()}


def kill_when_submitted(operator: CIBatchOperator, client: CIClient) -> None:
    while not list(client.list_doc_jobs()):
        time.sleep(0.01)
    operator.on_kill()


def test_what_is_no_source_is_named(context: Any) -> None:
    operator = CIBatchOperator(task_id="all", source=[], operation=DocProcess(), output="out/{stem}.pdf")
    operator.source = None
    with pytest.raises(ValueError, match="list of object keys, not None"):
        operator.execute(context)


@pytest.mark.parametrize("local_ci", [0.3], indirect=True)
def test_a_batch_whose_trigger_cannot_wait_waits_in_place(context: Any, fill_bucket: Fill) -> None:
    """Deferring again would start the same trigger, which would fail at once, again and again."""
    fill_bucket("in/a.docx", "in/b.docx")
    event = {"status": "error", "message": "no connection here", "deadline": time.time() + 60}
    assert batch(batch_id="resumed", deferrable=True).execute_complete(context, event)["succeeded"] == 2


def test_a_queue_that_stays_paused_fails_the_task(context: Any) -> None:
    event = {"status": "paused", "message": "queue p1 has been paused for 600 s", "deadline": 0.0}
    with pytest.raises(BatchWaitError, match="queue p1 has been paused"):
        batch(batch_id="resumed", deferrable=True).execute_complete(context, event)


def run_named(context: Any, dag_id: str, task_id: str, run_id: str) -> dict[str, Any]:
    """Run a batch whose default id consists of these three ids; return its summary."""
    context["ti"].task_id = task_id
    values: Any = {**context, "dag": SimpleNamespace(dag_id=dag_id), "run_id": run_id}
    operator = batch()
    operator.render_template_fields(values)
    return operator.execute(context)


@pytest.mark.parametrize("letter", ["a", "é", "文"])
def test_a_default_batch_id_that_is_too_long_for_a_key_is_cut_to_one_that_no_other_run_has(
    context: Any, client: CIClient, fill_bucket: Fill, letter: str
) -> None:
    """Each of Airflow's ids may have up to 250 characters."""
    fill_bucket("in/a.docx")
    first, again = (run_named(context, *[letter * 250] * 3) for _ in range(2))
    other = run_named(context, letter * 250, letter * 250, letter * 249 + "b")
    assert first["batch_id"] == again["batch_id"]
    assert len({summary["report_key"] for summary in (first, again, other)}) == 2
    head, _, digits = first["batch_id"].partition("-")
    assert head == letter * (200 // len(letter.encode()))
    assert len(digits) == 32
    assert [found.key for found in read_report(client, other["report_key"])] == ["in/a.docx"]


@pytest.mark.parametrize(("length", "is_cut"), [(85, False), (86, True)])
def test_a_default_batch_id_is_cut_only_where_it_does_not_fit(
    context: Any, fill_bucket: Fill, length: int, is_cut: bool
) -> None:
    fill_bucket("in/a.docx")
    ids = ("d" * 250, "t" * 250, "r" * length)
    assert (run_named(context, *ids)["batch_id"] != "/".join(ids)) is is_cut


def test_a_chosen_batch_id_is_never_cut(context: Any) -> None:
    with pytest.raises(ValueError, match="batch_id is too long"):
        batch(batch_id="x" * 600).execute(context)


def test_in_airflow_a_task_with_a_long_name_needs_no_batch_id(run_tasks: RunTasks, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx")
    folder = f"{'reports' * 40}/"
    task = BATCH.replace('"all"', repr("t" * 250)).replace("poll_interval", "report_prefix=%r, poll_interval")
    result = run_tasks(task % folder)
    key = result.results["t" * 250]["report_key"]
    assert key.startswith(f"{folder}{result.run.dag_id}/ttt")
    assert len(key.encode()) < 600


def test_a_batch_takes_the_failures_of_an_upstream_task(
    run_tasks: RunTasks, fill_bucket: Fill, client: CIClient
) -> None:
    fill_bucket("in/good.docx")
    fill_bucket("in/a/empty.docx", content=b"")
    result = run_tasks("""
    from airflow_provider_ci.batch import failures_of
    first = CIBatchOperator(
        task_id="first", source=ObjectSelection(prefix="in/"), operation=DocProcess(),
        output="out/{dir}{stem}.pdf", max_failures=1, poll_interval=0.1)
    CIBatchOperator(
        task_id="by_result", source=failures_of(first.output, prefix="in/"),
        operation=DocProcess(target="png"), output="png/{dir}{stem}-${Number}.png",
        max_failures=1, poll_interval=0.1)
    by_template = CIBatchOperator(
        task_id="by_template", operation=DocProcess(target="jpg"), output="jpg/{dir}{stem}-${Number}.jpg",
        source=failures_of("{{ ti.xcom_pull('first')['report_key'] }}", prefix="{{ params.folder }}/a/"),
        max_failures=1, poll_interval=0.1)
    first >> by_template""")
    assert {name: each["total"] for name, each in result.results.items()} == {
        "first": 2, "by_result": 1, "by_template": 1,
    }  # fmt: skip
    assert {job.output_key for job in client.list_doc_jobs() if job.input_key == "in/a/empty.docx"} == {
        *("out/a/empty.pdf", "png/a/empty-${Number}.png", "jpg/empty-${Number}.jpg")
    }
