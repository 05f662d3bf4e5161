"""A source that is split into shards, one mapped task for each, with one report over all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow.models.asset import AssetEvent
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_ci.batch.report import batch_folder, read_report, report_key
from airflow_provider_ci.client import CIClient

RunTasks = Callable[..., Any]
Fill = Callable[..., None]
Printed = Callable[[], str]

SHARDS = """
    from airflow.sdk import Asset, AssetAlias

    shards = CIShardsOperator(task_id="shards", source={source}, max_objects=2, {shards})
    batch = CIBatchOperator.partial(
        task_id="to_pdf", operation=DocProcess(target="pdf"), output="out/{{dir}}{{stem}}.pdf",
        poll_interval=0.1, {batch})
    report = CIBatchReportOperator(
        task_id="report", max_failures={max_failures}, output="out/{{dir}}{{stem}}.pdf",
        outlets=[Asset("cos://examplebucket-1250000000/out")])
    batch.expand_kwargs(shards.output) >> report
"""


def tasks(
    source: str = 'ObjectSelection(prefix="{{ params.folder }}/")',
    *,
    shards: str = "",
    batch: str = 'max_failures="100%"',
    max_failures: str = "0",
) -> str:
    return SHARDS.format(source=source, shards=shards, batch=batch, max_failures=max_failures)


def index_of(client: CIClient, result: Any) -> dict[str, Any]:
    index: dict[str, Any] = json.loads(client.read_object(result.results["report"]["report_key"]))
    return index


def test_shards_make_one_report(run_tasks: RunTasks, fill_bucket: Fill, client: CIClient) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(5)))
    result = run_tasks(tasks())
    assert result.state == "success"
    assert result.tasks == {"shards": "success", "to_pdf": "success", "report": "success"}
    summary = result.results["report"]
    assert (summary["total"], summary["succeeded"], summary["shards"]) == (5, 5, 3)
    index = index_of(client, result)
    assert [each["total"] for each in index["shards"]] == [2, 2, 1]
    listed = [key for each in index["shards"] for key in each["parts"]]
    found = [each.key for key in listed for each in read_report(client, key)]
    assert sorted(found) == [f"in/{number}.docx" for number in range(5)]
    assert len(list(client.list_doc_jobs())) == 5
    with create_session() as session:
        event = session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == result.run.run_id)).one()
        assert (event.extra["objects"], event.extra["total"]) == (5, 5)


def test_the_limit_is_that_of_the_whole(
    run_tasks: RunTasks, fill_bucket: Fill, client: CIClient, printed: Printed
) -> None:
    """One shard fails completely, which is more than the limit of 40 %; of all objects, exactly 40 % fail."""
    fill_bucket("in/1.docx", "in/2.docx", "in/5.docx")
    fill_bucket("in/3.docx", "in/4.docx", content=b"")
    assert run_tasks(tasks(max_failures="'40%'")).state == "success"
    result = run_tasks(tasks(max_failures="1", source='ObjectSelection(prefix="in/")'))
    assert result.tasks["report"] == "failed"
    assert "2 failed of 5 objects (allowed: 1): 2 × EmptyFile" in printed()
    assert result.results["report"]["failed"] == 2, "the summary is in XCom also when the task fails"


def test_shards_that_failed_do_not_keep_the_report_from_being_made(
    run_tasks: RunTasks, fill_bucket: Fill, client: CIClient, printed: Printed
) -> None:
    """The first two shards succeed; the last one has no report, because its queue id is refused."""
    fill_bucket(*(f"in/{number}.docx" for number in range(5)))
    queue = client.list_doc_queues()[0].queue_id
    wrong = f'queue_ids=["{queue}", "{queue}", "p0000000000000000000000000000000x"]'
    result = run_tasks(tasks(shards=wrong, max_failures="'50%'"))
    assert result.tasks["report"] == "failed"
    index = index_of(client, result)
    assert [each["state"] for each in index["shards"]][:2] == ["complete", "complete"]
    assert index["shards"][2]["unfinished"] == 1
    assert not index["is_complete"]
    assert "1 unfinished of 5 objects" in printed()


def test_an_empty_source_has_no_shards(run_tasks: RunTasks, client: CIClient, bucket: Path) -> None:
    result = run_tasks(tasks())
    assert (result.results["shards"], result.tasks["report"]) == ([], "success")
    assert result.results["report"]["total"] == 0


def test_each_shard_has_its_queue_and_its_share_of_the_requests(
    run_tasks: RunTasks, fill_bucket: Fill, client: CIClient
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(7)))
    queue = client.list_doc_queues()[0].queue_id
    given = f'queue_ids=["{queue}"], requests_per_second="90", max_active=3'
    result = run_tasks(tasks(shards=given))
    assert result.state == "success"
    shards = result.results["shards"]
    assert {(each["queue_id"], each["requests_per_second"]) for each in shards} == {(queue, 30.0)}
    assert {job.queue_id for job in client.list_doc_jobs()} == {queue}


def test_a_manifest_and_a_list_of_keys_in_shards(
    run_tasks: RunTasks, fill_bucket: Fill, client: CIClient
) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "in/c.docx")
    client.put_object("m.csv", b"key\nin/c.docx\nin/missing.docx\nin/a.docx\n")
    result = run_tasks(tasks('Manifest("m.csv")', max_failures="1"))
    summary = result.results["report"]
    assert (result.state, summary["total"], summary["succeeded"], summary["shards"]) == ("success", 3, 2, 2)
    assert "m.csv, line 3" in summary["failures"][0]["example"]
    again = run_tasks(tasks('["in/a.docx", "in/b.docx", "in/c.docx"]'))
    summary = again.results["report"]
    assert (summary["succeeded"], summary["skipped"], summary["shards"]) == (1, 2, 2)


def test_the_reports_are_read_from_the_bucket(
    run_tasks: RunTasks, fill_bucket: Fill, client: CIClient
) -> None:
    """A later run of the report task alone finds all results, although its XComs have none of them."""
    fill_bucket("in/1.docx", "in/2.docx", "in/3.docx")
    first = run_tasks(tasks(shards='shards_id="all"').replace("max_failures=0", 'shards_id="all"'))
    assert first.state == "success"
    alone = run_tasks('CIBatchReportOperator(task_id="report", shards_id="all")')
    assert alone.results["report"]["succeeded"] == 3
    client.delete_object(report_key(batch_folder("_ci_batches/", "all/0002")))
    lost = run_tasks('CIBatchReportOperator(task_id="report", shards_id="all", max_failures="100%")')
    assert lost.tasks["report"] == "failed"
    assert [each["state"] for each in index_of(client, lost)["shards"]] == ["complete", "missing"]


def test_a_report_without_shards_says_what_to_do(
    run_tasks: RunTasks, client: CIClient, printed: Printed
) -> None:
    assert run_tasks('CIBatchReportOperator(task_id="report", shards_id="all")').state == "failed"
    assert "no shards are called 'all'" in printed()


def test_mapped_groups_have_shards_of_their_own(run_tasks: RunTasks, fill_bucket: Fill) -> None:
    """If both groups shared one list of shards, the second group would process the objects of the first."""
    fill_bucket("in/a.docx", "in/b.docx", "in/c.docx")
    result = run_tasks("""
    from airflow.sdk import task_group

    @task_group
    def group(prefix):
        shards = CIShardsOperator(task_id="shards", source=ObjectSelection(prefix=prefix), max_objects=1)
        shards >> CIBatchReportOperator(task_id="report")

    group.expand(prefix=["in/a", "in/"])
    """)
    instances = [ti for ti in result.run.get_task_instances() if ti.task_id == "group.shards"]
    shards = {ti.map_index: ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index) for ti in instances}
    assert [len(shards[0]), len(shards[1])] == [1, 3]
    assert not {each["batch_id"] for each in shards[0]} & {each["batch_id"] for each in shards[1]}


def test_two_tasks_do_not_share_one_list_of_shards(
    run_tasks: RunTasks, fill_bucket: Fill, printed: Printed
) -> None:
    fill_bucket("in/a.docx", "other/b.docx")
    result = run_tasks("""
    first = CIShardsOperator(task_id="first", source=ObjectSelection(prefix="in/"))
    second = CIShardsOperator(task_id="second", source=ObjectSelection(prefix="other/"))
    own = "{{ run_id }}/third"
    third = CIShardsOperator(task_id="third", shards_id=own, source=ObjectSelection(prefix="in/"))
    first >> [second, third]
    """)
    assert result.tasks == {"first": "success", "second": "failed", "third": "success"}
    assert "names the shards of task 'first'" in printed()
