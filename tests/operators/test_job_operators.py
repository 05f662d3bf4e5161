from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.client import CIClient, CIError, DocProcess, JobState
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.operators import CIDocProcessOperator, JobWaitError
from airflow_provider_ci.triggers import CIJobTrigger

RunTasks = Callable[..., Any]
Fill = Callable[..., None]
Resume = Callable[[], object]
Printed = Callable[[], str]

CONVERT = """CIDocProcessOperator(
        task_id="convert", input_key="{{ params.folder }}/a.docx", output_key="out/{{ ti.task_id }}.pdf",
        operation=DocProcess(target="pdf"), poll_interval=0.1, %s)"""


@pytest.mark.parametrize("how", ["deferrable=False", "deferrable=True"])
def test_a_document_is_converted_and_waited_for(
    run_tasks: RunTasks, fill_bucket: Fill, bucket: Path, how: str
) -> None:
    fill_bucket("in/a.docx")
    result = run_tasks(CONVERT % how)
    assert result.state == "success"
    returned = result.results["convert"]
    assert {name: returned[name] for name in returned if name != "job_id"} == {
        "state": "Success",
        "input_key": "in/a.docx",
        "output_key": "out/convert.pdf",
        "pages": 1,
    }
    assert (bucket / "out/convert.pdf").read_bytes().startswith(b"%PDF")


def test_a_job_that_takes_longer_is_waited_for_in_the_triggerer(
    run_tasks: RunTasks, paused: Resume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ci.operators.jobs._INLINE_SECONDS", 0.0)
    run = CIJobTrigger.run

    def resume_and_run(trigger: CIJobTrigger) -> Any:
        paused()
        return run(trigger)

    monkeypatch.setattr(CIJobTrigger, "run", resume_and_run)
    result = run_tasks(CONVERT % "deferrable=True")
    assert result.state == "success"
    assert result.results["convert"]["pages"] == 1


def test_without_waiting_the_job_is_returned_right_after_submission(
    run_tasks: RunTasks, fill_bucket: Fill
) -> None:
    fill_bucket("in/a.docx")
    result = run_tasks(CONVERT % "wait_for_completion=False")
    assert result.results["convert"]["state"] in ("Submitted", "Running", "Success")
    job_id = result.results["convert"]["job_id"]
    assert len(job_id) == 33
    (instance,) = result.run.get_task_instances()
    assert instance.xcom_pull(task_ids="convert", key="job_id") == job_id


def test_a_missing_document_is_named(run_tasks: RunTasks, printed: Printed) -> None:
    result = run_tasks(CONVERT % "deferrable=False")
    assert result.tasks == {"convert": "failed"}
    assert "in/a.docx" in printed()


def test_a_failed_job_fails_the_task_and_names_its_reason(
    run_tasks: RunTasks, fill_bucket: Fill, printed: Printed
) -> None:
    fill_bucket("in/a.docx", content=b"")
    result = run_tasks(CONVERT % "deferrable=True")
    assert result.tasks == {"convert": "failed"}
    assert "JobFailedError" in printed()


def test_an_operation_of_the_wrong_kind_is_refused(run_tasks: RunTasks, printed: Printed) -> None:
    result = run_tasks("""CIPicProcessOperator(task_id="turn", input_key="a", output_key="b",
            operation=DocProcess(target="pdf"))""")
    assert result.state == "failed"
    assert "operation must be a PicProcess" in printed()


def convert(**options: Any) -> CIDocProcessOperator:
    arguments = {"input_key": "in/a.docx", "output_key": "out/a.pdf", "poll_interval": 0.1, **options}
    return CIDocProcessOperator(task_id="convert", operation=DocProcess(target="pdf"), **arguments)


def test_a_retry_takes_over_the_job_of_an_earlier_try(context: Any, paused: Resume, client: CIClient) -> None:
    with pytest.raises(JobWaitError, match="a retry of this task takes it over"):
        convert(timeout_seconds=0).execute(context)
    paused()
    second = convert().execute(context)
    (job,) = client.list_doc_jobs()
    assert second["job_id"] == job.job_id
    assert context["task_state_store"].values == {}, "what has ended well is forgotten, so a clear runs anew"


def test_a_changed_document_is_not_taken_over(
    context: Any, paused: Resume, fill_bucket: Fill, client: CIClient
) -> None:
    with pytest.raises(JobWaitError):
        convert(timeout_seconds=0).execute(context)
    paused()
    fill_bucket("in/a.docx", content=b"Something else.\n")
    convert().execute(context)
    assert len(list(client.list_doc_jobs())) == 2


def test_a_task_that_only_submits_submits_again_when_it_is_cleared(
    context: Any, fill_bucket: Fill, client: CIClient
) -> None:
    """Airflow 3.3 keeps the task's state when the task is cleared, but the task must do its work again."""
    fill_bucket("in/a.docx")
    first = convert(wait_for_completion=False).execute(context)
    second = convert(wait_for_completion=False).execute(context)
    assert second["job_id"] != first["job_id"]


def test_a_lost_answer_does_not_make_a_second_job(
    context: Any, fill_bucket: Fill, client: CIClient, local_ci: LocalCI
) -> None:
    fill_bucket("in/a.docx")
    local_ci.faults.add("cut_after", method="POST", path="/doc_jobs", count=1)
    result = convert().execute(context)
    (job,) = client.list_doc_jobs()
    assert (job.job_id, job.state) == (result["job_id"], JobState.SUCCESS)


def test_a_retry_finds_the_job_whose_answer_was_lost_and_that_no_search_found(
    context: Any, fill_bucket: Fill, client: CIClient, local_ci: LocalCI
) -> None:
    fill_bucket("in/a.docx")
    local_ci.faults.add("cut_after", method="POST", path="/doc_jobs", count=1)
    local_ci.faults.add("error", code="AccessDenied", method="GET", path="/doc_jobs", count=1)
    with pytest.raises(CIError, match="AccessDenied"):
        convert().execute(context)
    result = convert().execute(context)
    (job,) = client.list_doc_jobs()
    assert job.job_id == result["job_id"]


def test_a_retry_submits_what_an_earlier_try_only_meant_to_submit(
    context: Any, fill_bucket: Fill, client: CIClient, local_ci: LocalCI
) -> None:
    fill_bucket("in/a.docx")
    local_ci.faults.add("error", code="AccessDenied", method="POST", path="/doc_jobs", count=1)
    with pytest.raises(CIError, match="AccessDenied"):
        convert().execute(context)
    store = context["task_state_store"]
    assert store.values["ci_job"]["expires_at"] == 0, (
        "refused, so nothing is on its way that the retry could wait for"
    )
    result = convert().execute(context)
    (job,) = client.list_doc_jobs()
    assert job.job_id == result["job_id"]


@pytest.mark.parametrize(
    "event", [None, {}, {"status": "new"}, {"status": "error", "message": "told so", "job_ids": ["d1"]}]
)
def test_an_event_that_says_nothing_fails_the_task(context: Any, event: dict[str, Any] | None) -> None:
    with pytest.raises(JobWaitError, match="told so" if event and "message" in event else "no event"):
        convert().execute_complete(context, event)
