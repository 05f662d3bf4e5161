from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.models.renderedtifields import RenderedTaskInstanceFields

from airflow_provider_ci.batch import BatchStoppedError, ObjectSelection, ObjectState, read_report
from airflow_provider_ci.client import CIClient, CIError, DocProcess, JobState
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.operators import (
    BatchWaitError,
    CIBatchOperator,
    CIDocProcessOperator,
    JobWaitError,
)

RunDag = Callable[..., Any]
Fill = Callable[..., None]

Capture = pytest.CaptureFixture[str]


def printed(capfd: Capture) -> str:
    """What was printed, without colours and line breaks, which Airflow 3.0 puts into messages.

    That release also prints, where it runs a task for a test, what is to be masked.
    """
    lines = re.sub(r"\x1b\[[\d;]*m", "", "".join(capfd.readouterr())).splitlines()
    return " ".join(" ".join(line for line in lines if "msg=MaskSecret(" not in line).split())


DAG_TEXT = """
from airflow.sdk import DAG
from airflow_provider_ci.batch import ObjectKeys, ObjectSelection
from airflow_provider_ci.client import DocProcess, PicProcess
from airflow_provider_ci.operators import *
from airflow_provider_ci.sensors import CIJobSensor

with DAG(DAG_ID, schedule=None, params={"folder": "in", "rule": "imageMogr2/rotate/90"}) as dag:
    {tasks}
"""


def dag(tasks: str) -> str:
    return DAG_TEXT.replace("{tasks}", tasks)


CONVERT = """CIDocProcessOperator(
        task_id="convert", input_key="{{ params.folder }}/a.docx", output_key="out/{{ ti.task_id }}.pdf",
        operation=DocProcess(target="pdf"), poll_interval=0.1, %s)"""


@pytest.mark.parametrize("how", ["deferrable=False", "deferrable=True"])
def test_a_document_is_converted_and_waited_for(
    run_dag: RunDag, fill_bucket: Fill, bucket: Path, how: str
) -> None:
    fill_bucket("in/a.docx")
    result = run_dag(dag(CONVERT % how))
    assert result.state == "success"
    returned = result.results["convert"]
    assert {name: returned[name] for name in returned if name != "job_id"} == {
        "state": "Success",
        "input_key": "in/a.docx",
        "output_key": "out/convert.pdf",
        "pages": 1,
    }
    assert (bucket / "out/convert.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("local_ci", [1.0], indirect=True)
def test_a_job_that_takes_longer_is_waited_for_in_the_triggerer(
    run_dag: RunDag, fill_bucket: Fill, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("airflow_provider_ci.operators.jobs._INLINE_SECONDS", 0.0)
    fill_bucket("in/a.docx")
    result = run_dag(dag(CONVERT % "deferrable=True"))
    assert result.state == "success"
    assert result.results["convert"]["pages"] == 1
    assert "running trigger in line" in caplog.text


def test_without_waiting_the_job_is_returned_right_after_submission(
    run_dag: RunDag, fill_bucket: Fill
) -> None:
    fill_bucket("in/a.docx")
    result = run_dag(dag(CONVERT % "wait_for_completion=False"))
    assert result.results["convert"]["state"] in ("Submitted", "Running", "Success")
    job_id = result.results["convert"]["job_id"]
    assert len(job_id) == 33
    (instance,) = result.run.get_task_instances()
    assert instance.xcom_pull(task_ids="convert", key="job_id") == job_id


def test_a_missing_document_is_named(run_dag: RunDag, capfd: Capture) -> None:
    result = run_dag(dag(CONVERT % "deferrable=False"))
    assert result.tasks == {"convert": "failed"}
    assert "in/a.docx" in printed(capfd)


def test_a_failed_job_fails_the_task_and_names_its_reason(
    run_dag: RunDag, fill_bucket: Fill, capfd: Capture
) -> None:
    fill_bucket("in/a.docx", content=b"")
    result = run_dag(dag(CONVERT % "deferrable=True"))
    assert result.tasks == {"convert": "failed"}
    assert "JobFailedError" in printed(capfd)


def test_dataclasses_are_rendered_inside(run_dag: RunDag, fill_bucket: Fill, client: CIClient) -> None:
    fill_bucket("in/a.png")
    result = run_dag(
        dag("""CIPicProcessOperator(task_id="turn", input_key="in/a.png", output_key="out/a.png",
            poll_interval=0.1, operation=PicProcess("{{ params.rule }}"))""")
    )
    assert result.state == "success"
    (job,) = client.list_pic_jobs()
    assert "imageMogr2/rotate/90" in json.dumps(job.raw)


def test_lists_tuples_and_none_inside_dataclasses_are_rendered(run_dag: RunDag, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx", "in/b.txt", "in/c.pdf")
    result = run_dag(
        dag("""
    for name, suffixes in {"tuple": ("{{ params.suffix }}", ".pdf"), "list": ["{{ params.suffix }}"]}.items():
        CIListObjectsOperator(
            task_id=name,
            params={"suffix": ".docx"},
            source=ObjectSelection(
                prefix="{{ params.folder }}/", suffixes=suffixes, max_size=None, modified_before=None,
                modified_after="{{ macros.datetime(2020, 1, 1) }}",
            ),
        )""")
    )
    assert result.results == {"tuple": ["in/a.docx", "in/c.pdf"], "list": ["in/a.docx"]}


def test_a_result_of_another_task_inside_a_dataclass_comes_first(run_dag: RunDag, fill_bucket: Fill) -> None:
    """By name the list would go first; without a prefix it would take in the whole bucket."""
    fill_bucket("in/a.docx", "other/b.docx")
    result = run_dag(
        dag("""
    from airflow.sdk import task

    @task
    def where():
        return "in/"

    @task
    def which():
        return ["in/a.docx"]

    CIListObjectsOperator(task_id="a_list", source=ObjectSelection(prefix=where()))
    CIBatchOperator(
        task_id="a_batch", source=ObjectKeys(keys=which()), operation=DocProcess(), output="out/{stem}.pdf",
        poll_interval=0.1,
    )
    CIBatchOperator(
        task_id="another", source=which(), operation=DocProcess(), output="out2/{stem}.pdf", poll_interval=0.1
    )""")
    )
    assert result.results["a_list"] == ["in/a.docx"]
    assert result.results["a_batch"]["total"] == result.results["another"]["total"] == 1


def test_operators_can_be_mapped_and_no_password_is_in_the_stored_dag(
    run_dag: RunDag, fill_bucket: Fill, client: CIClient, capfd: Capture
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    result = run_dag(
        dag("""
    CIDocProcessOperator.partial(
        task_id="doc", operation=DocProcess(password="open-sesame"), poll_interval=0.1,
        output_key="doc/{{ ti.map_index }}.pdf",
    ).expand(input_key=["in/a.docx", "in/b.docx"])
    CIBatchOperator.partial(
        task_id="output", source=ObjectSelection(prefix="{{ params.folder }}/"), operation=DocProcess(),
        poll_interval=0.1,
    ).expand(output=["x-{{ params.folder }}/{stem}.pdf", "y/{stem}.pdf"])
    CIBatchOperator.partial(
        task_id="source", operation=DocProcess(), output="z/{stem}.pdf", poll_interval=0.1
    ).expand(source=[ObjectSelection(prefix="{{ params.folder }}/a"), ["in/b.docx"]])""")
    )
    assert result.state == "success"
    assert sorted(job.output_key for job in client.list_doc_jobs()) == [
        *("doc/0.pdf", "doc/1.pdf", "x-in/a.pdf", "x-in/b.pdf", "y/a.pdf", "y/b.pdf", "z/a.pdf", "z/b.pdf")
    ]
    assert "doc/{{ ti.map_index }}.pdf" in json.dumps(result.stored)
    assert "open-sesame" not in json.dumps(result.stored)
    assert "open-sesame" not in printed(capfd)


def test_the_password_of_a_document_is_in_no_rendered_field_and_no_log(
    run_dag: RunDag, fill_bucket: Fill, capfd: Capture, local_ci: LocalCI
) -> None:
    fill_bucket("in/a.docx")
    result = run_dag(
        dag("""CIDocProcessOperator(task_id="convert", input_key="in/a.docx", output_key="out/a.pdf",
            operation=DocProcess(target="pdf", password="open-sesame"), poll_interval=0.1)""")
    )
    assert result.state == "success"
    logged = printed(capfd)
    assert "open-sesame" not in logged
    assert local_ci.secret_key not in logged
    (instance,) = result.run.get_task_instances()
    rendered = RenderedTaskInstanceFields.get_templated_fields(instance)
    assert rendered is not None
    assert "target='pdf'" in rendered["operation"]
    assert "open-sesame" not in str(rendered)


def test_an_operation_of_the_wrong_kind_is_refused(run_dag: RunDag, capfd: Capture) -> None:
    result = run_dag(
        dag("""CIPicProcessOperator(task_id="turn", input_key="a", output_key="b",
            operation=DocProcess(target="pdf"))""")
    )
    assert result.state == "failed"
    assert "operation must be a PicProcess" in printed(capfd)


LISTING = (
    """CIListObjectsOperator(task_id="list", source=ObjectSelection(prefix="{{ params.folder }}/"), %s)"""
)


def test_the_listing_is_in_key_order(run_dag: RunDag, fill_bucket: Fill) -> None:
    fill_bucket("in/b.docx", "in/a.docx", "other/c.docx")
    assert run_dag(dag(LISTING % "")).results == {"list": ["in/a.docx", "in/b.docx"]}


def test_a_listing_that_is_too_long_for_an_xcom_says_what_to_do(
    run_dag: RunDag, fill_bucket: Fill, capfd: Capture
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    assert run_dag(dag(LISTING % "max_objects=1")).state == "failed"
    assert "give the selection to CIBatchOperator" in printed(capfd)


BATCH = """CIBatchOperator(
        task_id="all", source=ObjectSelection(prefix="{{ params.folder }}/", suffixes=[".docx"]), %s
        operation=DocProcess(target="pdf"), output="out/{{ ds_nodash | default('x') }}{dir}{stem}.pdf",
        poll_interval=0.1)"""


def test_a_batch_returns_a_small_summary_and_leaves_a_report(
    run_dag: RunDag, fill_bucket: Fill, client: CIClient
) -> None:
    fill_bucket(*(f"in/{number:03}.docx" for number in range(40)))
    result = run_dag(dag(BATCH % ""))
    assert result.state == "success"
    summary = result.results["all"]
    assert (summary["total"], summary["succeeded"]) == (40, 40)
    assert len(json.dumps(summary)) < 2048
    assert len(list(read_report(client, summary["report_key"]))) == 40
    assert f"_ci_batches/{result.run.dag_id}/all/" in summary["report_key"]


def test_a_batch_that_fails_names_the_object(
    run_dag: RunDag, fill_bucket: Fill, client: CIClient, capfd: Capture
) -> None:
    fill_bucket("in/good.docx")
    fill_bucket("in/empty.docx", content=b"")
    result = run_dag(dag(BATCH % ""))
    assert result.tasks == {"all": "failed"}
    assert "of 2 objects 1 failed (allowed: 0). First failures: in/empty.docx" in printed(capfd)
    assert sorted(str(job.state) for job in client.list_doc_jobs()) == ["Failed", "Success"]


def test_constructors_only_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_TENCENT_CI_DEFAULT", raising=False)
    CIDocProcessOperator(
        task_id="a", input_key="{{ x }}", output_key="{{ y }}", operation=DocProcess(target="pdf")
    )
    CIBatchOperator(
        task_id="b",
        source=ObjectSelection(prefix="{{ x }}", modified_after="{{ data_interval_start }}"),
        operation=DocProcess(target="pdf"),
        output="{{ nonsense }}",
    )


class Store:
    """A task state store that lives in this test."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = json.loads(json.dumps(value))

    def delete(self, key: str) -> None:
        self.values.pop(key, None)


class Instance:
    map_index = -1
    dag_id = run_id = task_id = "test"

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed = (key, value)


def convert(**options: Any) -> CIDocProcessOperator:
    arguments = {"input_key": "in/a.docx", "output_key": "out/a.pdf", "poll_interval": 0.1, **options}
    return CIDocProcessOperator(task_id="convert", operation=DocProcess(target="pdf"), **arguments)


@pytest.mark.parametrize("local_ci", [0.3], indirect=True)
def test_a_retry_takes_over_the_job_of_an_earlier_try(
    connection: dict[str, Any], fill_bucket: Fill, client: CIClient
) -> None:
    fill_bucket("in/a.docx")
    context: Any = {"task_state_store": Store(), "ti": Instance()}
    with pytest.raises(JobWaitError, match="a retry of this task takes it over"):
        convert(timeout_seconds=0).execute(context)
    second = convert().execute(context)
    (job,) = client.list_doc_jobs()
    assert second["job_id"] == job.job_id
    assert context["task_state_store"].values == {}, "what has ended well is forgotten, so a clear runs anew"


@pytest.mark.parametrize("local_ci", [0.3], indirect=True)
def test_a_changed_document_is_not_taken_over(
    connection: dict[str, Any], fill_bucket: Fill, client: CIClient
) -> None:
    context: Any = {"task_state_store": Store(), "ti": Instance()}
    fill_bucket("in/a.docx")
    with pytest.raises(JobWaitError):
        convert(timeout_seconds=0).execute(context)
    fill_bucket("in/a.docx", content=b"Something else.\n")
    convert().execute(context)
    assert len(list(client.list_doc_jobs())) == 2


def test_a_task_that_only_submits_submits_again_when_it_is_cleared(
    connection: dict[str, Any], fill_bucket: Fill, client: CIClient
) -> None:
    """Airflow 3.3 keeps the store when a task is cleared, and who clears a task wants it done again."""
    fill_bucket("in/a.docx")
    context: Any = {"task_state_store": Store(), "ti": Instance()}
    first = convert(wait_for_completion=False).execute(context)
    second = convert(wait_for_completion=False).execute(context)
    assert second["job_id"] != first["job_id"]


def test_a_lost_answer_does_not_make_a_second_job(
    connection: dict[str, Any], fill_bucket: Fill, client: CIClient, local_ci: LocalCI
) -> None:
    fill_bucket("in/a.docx")
    local_ci.faults.add("cut_after", method="POST", path="/doc_jobs", count=1)
    context: Any = {"task_state_store": Store(), "ti": Instance()}
    result = convert().execute(context)
    (job,) = client.list_doc_jobs()
    assert (job.job_id, job.state) == (result["job_id"], JobState.SUCCESS)


def test_a_retry_finds_the_job_whose_answer_was_lost_and_that_no_search_found(
    connection: dict[str, Any], fill_bucket: Fill, client: CIClient, local_ci: LocalCI
) -> None:
    fill_bucket("in/a.docx")
    local_ci.faults.add("cut_after", method="POST", path="/doc_jobs", count=1)
    local_ci.faults.add("error", code="AccessDenied", method="GET", path="/doc_jobs", count=1)
    context: Any = {"task_state_store": Store(), "ti": Instance()}
    with pytest.raises(CIError, match="AccessDenied"):
        convert().execute(context)
    result = convert().execute(context)
    (job,) = client.list_doc_jobs()
    assert job.job_id == result["job_id"]


def test_a_retry_submits_what_an_earlier_try_only_meant_to_submit(
    connection: dict[str, Any], fill_bucket: Fill, client: CIClient, local_ci: LocalCI
) -> None:
    fill_bucket("in/a.docx")
    local_ci.faults.add("error", code="AccessDenied", method="POST", path="/doc_jobs", count=1)
    store = Store()
    context: Any = {"task_state_store": store, "ti": Instance()}
    with pytest.raises(CIError, match="AccessDenied"):
        convert().execute(context)
    store.values["ci_job"]["since"] = "2026-01-01T00:00:00+00:00"  # nothing can be on its way any more
    result = convert().execute(context)
    (job,) = client.list_doc_jobs()
    assert job.job_id == result["job_id"]


@pytest.mark.parametrize("local_ci", [0.3], indirect=True)
def test_a_killed_batch_stops_and_leaves_its_report(
    connection: dict[str, Any], fill_bucket: Fill, client: CIClient
) -> None:
    """Airflow cannot be asked here whether a user ended the task, so its jobs are left to a retry."""
    fill_bucket(*(f"in/{number}.docx" for number in range(4)))
    operator = CIBatchOperator(
        task_id="all",
        source=ObjectSelection(prefix="in/"),
        operation=DocProcess(target="pdf"),
        output="out/{stem}.pdf",
        batch_id="killed",
        poll_interval=0.1,
    )
    threading.Thread(target=kill_when_submitted, args=(operator, client)).start()
    context: Any = {"ti": Instance()}
    with pytest.raises(BatchStoppedError):
        operator.execute(context)
    report = list(read_report(client, "_ci_batches/killed/report.jsonl"))
    assert ObjectState.UNFINISHED in {found.state for found in report}
    assert len(report) == 4
    assert JobState.CANCEL not in {job.state for job in client.list_doc_jobs()}


def kill_when_submitted(operator: CIBatchOperator, client: CIClient) -> None:
    while not list(client.list_doc_jobs()):
        time.sleep(0.01)
    operator.on_kill()


def test_what_is_no_source_is_named(connection: dict[str, Any]) -> None:
    operator = CIBatchOperator(task_id="all", source=[], operation=DocProcess(), output="out/{stem}.pdf")
    operator.source = None  # type: ignore[assignment] # what an upstream task that returns nothing leaves
    context: Any = {"ti": Instance()}
    with pytest.raises(ValueError, match="list of object keys, not None"):
        operator.execute(context)


@pytest.mark.parametrize(
    "event", [None, {}, {"status": "new"}, {"status": "error", "message": "told so", "job_ids": ["d1"]}]
)
def test_an_event_that_says_nothing_fails_the_task(
    connection: dict[str, Any], event: dict[str, Any] | None
) -> None:
    context: Any = {"task_state_store": Store(), "ti": Instance()}
    with pytest.raises(JobWaitError, match="told so" if event and "message" in event else "no event"):
        convert().resume(context, event)


def deferrable_batch() -> CIBatchOperator:
    return CIBatchOperator(
        task_id="all",
        source=ObjectSelection(prefix="in/"),
        operation=DocProcess(target="pdf"),
        output="out/{stem}.pdf",
        batch_id="resumed",
        poll_interval=0.1,
        deferrable=True,
    )


@pytest.mark.parametrize("local_ci", [0.3], indirect=True)
def test_a_batch_whose_trigger_cannot_wait_waits_in_place(
    connection: dict[str, Any], fill_bucket: Fill
) -> None:
    """The same trigger would come back at once, again and again."""
    fill_bucket("in/a.docx", "in/b.docx")
    context: Any = {"ti": Instance()}
    event = {"status": "error", "message": "no connection here", "deadline": time.time() + 60}
    assert deferrable_batch().resume(context, event)["succeeded"] == 2


def test_a_queue_that_stays_paused_fails_the_task(connection: dict[str, Any]) -> None:
    context: Any = {"ti": Instance()}
    event = {"status": "paused", "message": "queue p1 has been paused for 600 s", "deadline": 0.0}
    with pytest.raises(BatchWaitError, match="queue p1 has been paused"):
        deferrable_batch().resume(context, event)
