"""What other tasks and the log get from a task that fails, finds nothing, or writes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from airflow import __version__ as airflow_version
from airflow.models.asset import AssetEvent
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_ci.client import CIClient

RunDag = Callable[..., Any]
RunTasks = Callable[..., Any]
Fill = Callable[..., None]
Printed = Callable[[], str]

BATCH = """CIBatchOperator(task_id="all", source=ObjectSelection(prefix="in/", suffixes=[".docx"]),
        operation=DocProcess(), output="out/{stem}.pdf", poll_interval=0.1, %s)"""

_KNOWS_ASSETS = pytest.mark.skipif(
    airflow_version.startswith("3.0."),
    reason="dag.test of Airflow 3.0 registers no assets, and so runs no task that has one as its outlet",
)


def page(url: str) -> str:
    with urlopen(url) as response:
        found: str = response.read().decode()
    return found


@pytest.mark.parametrize("how", ["deferrable=False", "deferrable=True"])
def test_a_task_that_handles_failures_finds_the_summary_of_a_failed_batch(
    run_tasks: RunTasks, fill_bucket: Fill, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ci.operators.batch._INLINE_SECONDS", 0.0)
    fill_bucket("in/good.docx")
    fill_bucket("in/bad.docx", "in/worse.docx", content=b"")
    result = run_tasks(
        f"""
    from airflow.sdk import task
    from airflow_provider_ci.batch import read_report
    from airflow_provider_ci.hooks import CIHook

    batch = {BATCH % how}

    @task(trigger_rule="all_done")
    def handle(summary):
        with CIHook().client as client:
            report = read_report(client, summary["report_key"])
            return {{"failed": [each.key for each in report if not each.is_good], "summary": summary}}

    handle(batch.output)
    """
    )
    assert result.tasks == {"all": "failed", "handle": "success"}
    handled = result.results["handle"]
    assert handled["failed"] == ["in/bad.docx", "in/worse.docx"]
    summary = handled["summary"]
    assert (summary["total"], summary["failed"]) == (3, 2)
    (group,) = summary["failures"]
    assert group["count"] == 2
    assert group["code"]
    assert "in/bad.docx" in group["example"]
    assert "in/worse.docx" in page(summary["report_url"])


def test_a_failed_batch_pushes_what_a_good_one_would(run_tasks: RunTasks, fill_bucket: Fill) -> None:
    fill_bucket("in/bad.docx", content=b"")
    result = run_tasks(f"""
    from airflow.sdk import task

    batch = {BATCH % "multiple_outputs=True"}

    @task(trigger_rule="all_done")
    def handle(key, failed):
        return [key, failed]

    handle(batch.output["report_key"], batch.output["failed"])
    """)
    assert result.results["handle"] == [result.results["all"]["report_key"], 1]
    assert run_tasks(BATCH % "do_xcom_push=False").results == {"all": None}


def test_the_summary_stays_below_2_kib_whatever_the_keys(run_tasks: RunTasks, fill_bucket: Fill) -> None:
    folder = "/".join(["in", *["很长的文件夹名" * 11] * 3])
    fill_bucket(*(f"{folder}/{number}.docx" for number in range(5)), content=b"")
    summary = run_tasks(BATCH % "max_failures=5").results["all"]
    assert len(json.dumps(summary)) < 2048
    assert summary["first_failures"]
    assert summary["failures"][0]["count"] == 5
    assert summary["report_url"]


def test_the_size_of_outputs_is_left_out_where_the_service_does_not_tell_it(
    run_tasks: RunTasks, fill_bucket: Fill
) -> None:
    fill_bucket("in/a.docx", "in/b.png")
    result = run_tasks(f"""
    {BATCH % ""}
    CIBatchOperator(task_id="pictures", source=["in/b.png"], operation=PicProcess("imageMogr2/rotate/90"),
        output="out/{{name}}", poll_interval=0.1)
    """)
    assert "output_bytes" not in result.results["all"]
    assert result.results["pictures"]["output_bytes"] > 0


@pytest.mark.parametrize(
    ("on_empty", "state"), [("succeed", "success"), ("skip", "skipped"), ("fail", "failed")]
)
@pytest.mark.parametrize(("options", "count"), [("", "total"), ("plan_only=True, ", "objects")])
def test_what_an_empty_source_means_is_the_users_choice(
    run_tasks: RunTasks, printed: Printed, on_empty: str, state: str, options: str, count: str
) -> None:
    result = run_tasks(BATCH % f"{options}on_empty={on_empty!r}")
    assert result.tasks == {"all": state}
    assert "no object under 'in/' with suffixes .docx" in printed()
    assert result.results["all"][count] == 0


def test_a_choice_that_does_not_exist_is_named(run_tasks: RunTasks, printed: Printed) -> None:
    assert run_tasks(BATCH % "on_empty='shrug'").state == "failed"
    assert "CIBatchOperator.on_empty must be one of succeed, skip, fail, not 'shrug'" in printed()


@_KNOWS_ASSETS
@pytest.mark.parametrize(("objects", "events"), [((), 0), (("in/a.docx",), 1)])
def test_an_asset_has_an_event_only_when_something_was_written(
    run_tasks: RunTasks, fill_bucket: Fill, objects: tuple[str, ...], events: int
) -> None:
    fill_bucket(*objects)
    outlets = 'outlets=[Asset("cos://examplebucket-1250000000/out")]'
    tasks = f"from airflow.sdk import Asset\n    {BATCH % outlets}"
    run = run_tasks(tasks).run
    with create_session() as session:
        found = session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == run.run_id)).all()
    assert len(found) == events


@_KNOWS_ASSETS
@pytest.mark.parametrize("task", [
    BATCH % 'plan_only=True, outlets=[Asset("cos://examplebucket-1250000000/out"), AssetAlias("a")]',
    """CIDocProcessOperator(task_id="all", input_key="in/a.docx", output_key="out/a.pdf",
        operation=DocProcess(), wait_for_completion=False, outlets=[Asset("cos://examplebucket-1250000000/out")])""",
], ids=["a plan", "a job that is not waited for"])  # fmt: skip
def test_what_has_not_been_written_sends_no_event(run_tasks: RunTasks, fill_bucket: Fill, task: str) -> None:
    fill_bucket("in/a.docx")
    result = run_tasks(f"from airflow.sdk import Asset, AssetAlias\n    {task}")
    assert result.state == "success"
    with create_session() as session:
        events = select(AssetEvent).where(AssetEvent.source_dag_id == result.run.dag_id)
        assert session.scalars(events).all() == []


@_KNOWS_ASSETS
def test_a_second_run_that_finds_everything_up_to_date_sends_no_event(
    run_tasks: RunTasks, fill_bucket: Fill
) -> None:
    fill_bucket("in/a.docx")
    outlets = 'batch_id="same", outlets=[Asset("cos://examplebucket-1250000000/out")]'
    tasks = f"from airflow.sdk import Asset\n    {BATCH % outlets}"
    run_tasks(tasks)
    second = run_tasks(tasks)
    assert second.results["all"]["skipped"] == 1
    with create_session() as session:
        events = select(AssetEvent).where(AssetEvent.source_dag_id == second.run.dag_id)
        assert session.scalars(events).all() == []


def test_the_verdict_of_a_failed_batch_comes_first_then_the_reasons_then_a_url(
    run_tasks: RunTasks, fill_bucket: Fill, printed: Printed
) -> None:
    fill_bucket("in/good.docx")
    fill_bucket("in/bad.docx", "in/worse.docx", content=b"")
    run_tasks(BATCH % "max_failures=1")
    said = printed()
    verdict = said.index("2 of 3 failed (allowed 1), 1 of 3 succeeded")
    reason = said.index("2 × ")
    report = said.index("report: http://127.0.0.1:")
    assert verdict < reason < report


@pytest.mark.parametrize(("task", "words"), [
    ("""CIDocProcessOperator(task_id="t", input_key="in/a.docx", output_key="out/a.pdf",
        operation=DocProcess(), poll_interval=0.1)""", "succeeded: 1 page in"),
    ("""CIPicProcessOperator(task_id="t", input_key="in/b.png", output_key="out/b.png",
        operation=PicProcess("imageMogr2/rotate/90"), poll_interval=0.1)""", "succeeded: "),
])  # fmt: skip
def test_a_single_job_logs_its_result_and_where_it_is(
    run_tasks: RunTasks, fill_bucket: Fill, printed: Printed, task: str, words: str
) -> None:
    fill_bucket("in/a.docx", "in/b.png")
    assert run_tasks(task).state == "success"
    said = printed()
    assert words in said
    assert "→ http://127.0.0.1:" in said


def test_an_empty_listing_warns(run_tasks: RunTasks, printed: Printed) -> None:
    source = 'ObjectSelection(prefix="inbx/", suffixes=[".a", ".b", ".c", ".d", ".e", ".f"])'
    run_tasks(f'CIListObjectsOperator(task_id="keys", source={source})')
    assert "no object under 'inbx/' with suffixes .a, .b, .c, .d, .e and 1 more" in printed()


def links_of(dag_id: str) -> dict[str, Any]:
    with create_session() as session:
        rows = session.scalars(
            select(XComModel).where(XComModel.dag_id == dag_id, XComModel.key.like("_link%"))
        )
        return {row.key: XComModel.deserialize_value(row) for row in rows}


def test_a_batch_in_the_default_queue_leads_to_it(
    run_tasks: RunTasks, fill_bucket: Fill, client: CIClient
) -> None:
    fill_bucket("in/a.docx")
    found = links_of(run_tasks(BATCH % "").run.dag_id)
    (queue,) = client.list_doc_queues()
    assert f"Queue {queue.queue_id}" in page(found["_link_CIQueueLink"])


def test_queue_and_cancel_operators_lead_to_their_queue(run_tasks: RunTasks, client: CIClient) -> None:
    (queue,) = client.list_doc_queues()
    for task in (
        'CIQueueOperator(task_id="t", kind="doc", state="Active")',
        'CICancelJobsOperator(task_id="t", all_waiting_of="doc")',
    ):
        assert queue.queue_id in links_of(run_tasks(task).run.dag_id)["_link_CIQueueLink"]


@pytest.mark.parametrize("task", [
    """CIBatchOperator(task_id="t", source=[], operation=DocProcess(), output="o", skip="sometimes")""",
    """CIBatchOperator(task_id="t", source=[], operation=DocProcess(), output="{{ no.such.name }}")""",
    """CIBatchOperator.partial(task_id="t", source=[], operation=DocProcess(), skip="sometimes").expand(
        output=["o"])""",
])  # fmt: skip
def test_a_task_that_fails_before_it_begins_leaves_no_link(
    run_tasks: RunTasks, printed: Printed, task: str
) -> None:
    failed = run_tasks(task)
    assert failed.state == "failed"
    assert links_of(failed.run.dag_id) == {}
    assert "XCom not found" not in printed()


def test_a_task_without_a_link_leaves_no_empty_row(run_tasks: RunTasks, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx")
    failed = run_tasks("""CIDocProcessOperator(task_id="t", input_key="in/none.docx", output_key="out/a.pdf",
        operation=DocProcess())""")
    assert failed.state == "failed"
    assert links_of(failed.run.dag_id) == {}
    cancelled = run_tasks('CICancelJobsOperator(task_id="t", job_ids=[])')
    assert links_of(cancelled.run.dag_id) == {}


def test_rendered_values_are_json_of_what_is_set(run_tasks: RunTasks, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx")
    result = run_tasks(BATCH % "")
    (instance,) = result.run.get_task_instances()
    rendered = RenderedTaskInstanceFields.get_templated_fields(instance)
    assert rendered is not None
    assert rendered["source"] == {"prefix": "in/", "suffixes": [".docx"]}
    assert rendered["operation"] == {"target": "pdf"}


def test_the_operators_reach_what_the_client_can(
    run_tasks: RunTasks, fill_bucket: Fill, bucket: Path, client: CIClient
) -> None:
    fill_bucket("in/a.docx", "in/b.png")
    (bucket.parent / "otherbucket-1250000000").mkdir()
    template = client.create_template("turn", _turn()).template_id
    options = """job_level=2, output_bucket="otherbucket-1250000000", output_region="ap-guangzhou",
        callback=Callback("no"), poll_interval=0.1"""
    result = run_tasks(f"""
    from airflow_provider_ci.client import Callback, PicTemplate
    CIBatchOperator(task_id="docs", source=["in/a.docx"], operation=DocProcess(), output="out/{{stem}}.pdf",
        stop_early="50%", retry_failed=True, on_running="fail", {options})
    CIDocProcessOperator(task_id="doc", input_key="in/a.docx", output_key="one/a.pdf", operation=DocProcess(),
        {options})
    CIBatchOperator(task_id="pics", source=["in/b.png"], operation=PicTemplate("{template}"),
        output="out/{{name}}", {options})
    CIPicProcessOperator(task_id="pic", input_key="in/b.png", output_key="one/b.png",
        operation=PicTemplate("{template}"), {options})
    """)
    assert result.state == "success", result.tasks
    other = bucket.parent / "otherbucket-1250000000"
    made = sorted(str(path.relative_to(other)) for path in other.rglob("*.p*"))
    assert made == ["one/a.pdf", "one/b.png", "out/a.pdf", "out/b.png"]
    assert {job.output_bucket for job in client.list_doc_jobs()} == {"otherbucket-1250000000"}


def _turn() -> Any:
    from airflow_provider_ci.client import PicProcess

    return PicProcess("imageMogr2/rotate/90")
