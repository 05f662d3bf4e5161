"""The time limits of tasks that wait in place, are rescheduled, or are deferred."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, BatchFailedError, BatchRunningError, ObjectSelection
from airflow_provider_ci.client import CIClient, DocProcess, JobState
from airflow_provider_ci.compat import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow_provider_ci.operators import CIBatchOperator, CIDocProcessOperator, JobWaitError
from airflow_provider_ci.sensors import CIJobSensor, CIObjectsSensor, JobsFailedError

RunTasks = Callable[..., Any]
Fill = Callable[..., None]
Resume = Callable[[], object]
Printed = Callable[[], str]

BATCH = """CIBatchOperator(task_id="task", source=ObjectSelection(prefix="in/"), operation=DocProcess(),
        output="out/{stem}.pdf", poll_interval=0.1, %s)"""
JOB = """CIDocProcessOperator(task_id="task", input_key="in/a.docx", output_key="out/a.pdf",
        operation=DocProcess(), poll_interval=0.1, %s)"""


@pytest.fixture(autouse=True)
def _deferred_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_ci.operators.batch._INLINE_SECONDS", 0.0)
    monkeypatch.setattr("airflow_provider_ci.operators.jobs._INLINE_SECONDS", 0.0)
    monkeypatch.setattr("airflow_provider_ci.sensors.objects.FIRST_LOOK_SECONDS", 0.0)


@pytest.mark.parametrize("how", ["deferrable=False", "deferrable=True"])
@pytest.mark.parametrize("task", [BATCH, JOB], ids=["batch", "job"])
def test_execution_timeout_ends_the_try_and_not_the_jobs(
    run_tasks: RunTasks, paused: Resume, client: CIClient, printed: Printed, task: str, how: str
) -> None:
    limit = "execution_timeout=__import__('datetime').timedelta(seconds=3), timeout_seconds=600"
    result = run_tasks(task % f"{limit}, {how}")
    assert result.state == "failed"
    assert "AirflowTaskTimeout" in printed()
    (job,) = client.list_doc_jobs()
    assert job.state in (JobState.SUBMITTED, JobState.PAUSE)


@pytest.mark.parametrize("how", ["mode='poke'", "deferrable=True"])
def test_execution_timeout_of_a_sensor(run_tasks: RunTasks, printed: Printed, how: str) -> None:
    result = run_tasks(f"""
    from datetime import timedelta
    from airflow_provider_ci.sensors import CIObjectsSensor
    CIObjectsSensor(task_id="task", source=ObjectSelection(prefix="none/"), poke_interval=0.2, timeout=600,
        execution_timeout=timedelta(seconds=2), {how})""")
    assert result.state == "failed"
    assert "AirflowTaskTimeout" in printed()


@pytest.mark.parametrize("how", ["deferrable=False", "deferrable=True"])
def test_timeout_seconds_is_a_number_or_a_timedelta(
    run_tasks: RunTasks, paused: Resume, printed: Printed, how: str
) -> None:
    result = run_tasks(JOB % f"timeout_seconds=__import__('datetime').timedelta(seconds=1), {how}")
    assert result.state == "failed"
    assert "has not ended after 1 s" in printed()


def test_after_a_timeout_in_place_the_next_try_need_not_wait_for_the_lease(
    context: Any, paused: Resume, client: CIClient
) -> None:
    """On a timeout, Airflow raises a BaseException at any point of the code; the run releases its lease."""

    def interrupt(progress: Any) -> None:
        raise AirflowTaskTimeout("as a signal does")

    def batch(**options: Any) -> Batch:
        return Batch(
            client,
            ObjectSelection(prefix="in/"),
            DocProcess(),
            "o/{stem}.pdf",
            batch_id="b",
            lease_seconds=3600,
            **options,
        )

    with pytest.raises(AirflowTaskTimeout):
        batch(progress=interrupt).run()
    assert batch().advance(patience=0, deadline=time.time() + 60) is None


def test_a_time_that_is_up_during_the_batch_is_the_trys_end(context: Any, paused: Resume) -> None:
    operator = CIBatchOperator(
        task_id="all",
        source=ObjectSelection(prefix="in/"),
        operation=DocProcess(),
        output="out/{stem}.pdf",
        batch_id="b",
        poll_interval=0.1,
        execution_timeout=timedelta(seconds=1),
    )
    with pytest.raises(AirflowTaskTimeout, match=r"execution_timeout of 1 s is over\. The jobs keep running"):
        operator.execute(context)


def test_timeout_seconds_of_a_batch_reports_what_has_not_ended(context: Any, paused: Resume) -> None:
    operator = CIBatchOperator(
        task_id="all",
        source=ObjectSelection(prefix="in/"),
        operation=DocProcess(),
        output="out/{stem}.pdf",
        batch_id="b",
        poll_interval=0.1,
        timeout_seconds=timedelta(seconds=1),
    )
    with pytest.raises(BatchFailedError) as failed:
        operator.execute(context)
    assert failed.value.summary.unfinished == 1
    key, value = context["ti"].pushed
    assert (key, value["unfinished"]) == ("return_value", 1)


def test_a_resumed_task_whose_time_is_up_fails_at_once(
    context: Any, client: CIClient, paused: Resume
) -> None:
    job_id = client.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess()).job_id
    operator = CIDocProcessOperator(
        task_id="t",
        input_key="in/a.docx",
        output_key="out/a.pdf",
        operation=DocProcess(),
        execution_timeout=timedelta(seconds=5),
    )
    event: dict[str, Any] = {"status": "timeout", "message": "", "job_ids": [job_id], "pending": [job_id]}
    with pytest.raises(AirflowTaskTimeout, match=f"Job {job_id} keeps running; a retry takes it over"):
        operator.execute_complete(context, {**event, "note": {"end_of_try": time.time() - 1}})
    with pytest.raises(JobWaitError, match="has not ended after 1 h 0 min"):
        operator.execute_complete(context, {**event, "note": {"end_of_try": time.time() + 60}})


# Sensors end in the same state, whichever way they wait

FAILED_JOB = """
    from airflow_provider_ci.sensors import CIJobSensor
    CIJobSensor(task_id="wait", job_ids=%r, poke_interval=0.2, timeout=20, %s)"""
WAYS = ["mode='poke'", "mode='reschedule'", "deferrable=True"]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(
    ("option", "state"),
    [("never_fail=True", "skipped"), ("soft_fail=True", "failed"), ("retries=0", "failed")],
)
@pytest.mark.parametrize("local_ci", [0.0, 1.0], indirect=True, ids=["failed before", "fails later"])
def test_a_job_that_fails(
    run_tasks: RunTasks, client: CIClient, fill_bucket: Fill, how: str, option: str, state: str, local_ci: Any
) -> None:
    fill_bucket("a.docx", content=b"")
    job_id = client.submit_doc_job("a.docx", "out/a.pdf", DocProcess()).job_id
    assert run_tasks(FAILED_JOB % (job_id, f"{how}, {option}")).tasks == {"wait": state}


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(
    ("option", "state"),
    [("soft_fail=True", "skipped"), ("never_fail=True", "failed"), ("retries=0", "failed")],
)
def test_objects_that_do_not_come(run_tasks: RunTasks, how: str, option: str, state: str) -> None:
    result = run_tasks(f"""
    from datetime import timedelta
    from airflow_provider_ci.sensors import CIObjectsSensor
    CIObjectsSensor(task_id="wait", source=ObjectSelection(prefix="none/"), poke_interval=0.2,
        timeout=timedelta(seconds=1), settled_seconds=timedelta(0), {how}, {option})""")
    assert result.tasks == {"wait": state}


DONE = {"status": "done", "message": "", "pending": []}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, JobsFailedError),
        ({"never_fail": True}, AirflowSkipException),
        ({"soft_fail": True}, JobsFailedError),
    ],
)
def test_airflow_resumes_a_sensor_as_it_would_have_ended_in_place(
    connection: Any, client: CIClient, fill_bucket: Fill, options: dict[str, Any], error: type[Exception]
) -> None:
    fill_bucket("a.docx", content=b"")
    job_id = client.submit_doc_job("a.docx", "out/a.pdf", DocProcess()).job_id
    while not client.get_doc_job(job_id).state.is_final:
        time.sleep(0.05)
    sensor = CIJobSensor(task_id="wait", job_ids=job_id, **options)
    with pytest.raises(error):
        sensor.resume_execution("execute_complete", {"event": {**DONE, "job_ids": [job_id]}}, {})


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"status": "timeout", "pending": ["d1"]}, AirflowSensorTimeout),
        ({"status": "error", "message": "told so"}, AirflowException),
        ({"status": "news"}, AirflowException),
        (None, AirflowException),
    ],
)
def test_the_old_name_of_execute_complete_still_works(event: Any, error: type[Exception]) -> None:
    """A task that was deferred before the package was updated resumes with the old method name."""
    with pytest.raises(error):
        CIJobSensor(task_id="wait", job_ids="d1", timeout=9).resume({}, event)
    with pytest.raises(error):
        CIObjectsSensor(task_id="wait", source=ObjectSelection(), timeout=9).resume({}, event)


# Overlap


def test_a_deferrable_batch_waits_for_another_run_of_itself(
    run_tasks: RunTasks, fill_bucket: Fill, monkeypatch: pytest.MonkeyPatch, client: CIClient
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    original, refusals = Batch.advance, [BatchRunningError("_ci_batches/b/", "process 1 on other")]

    def advance(self: Batch, **options: Any) -> Any:
        if refusals:
            original(self, patience=0, deadline=time.time() + 60)  # as the other run would do
            raise refusals.pop()
        return original(self, **options)

    monkeypatch.setattr(Batch, "advance", advance)
    result = run_tasks(BATCH % 'batch_id="b", deferrable=True')
    assert result.state == "success"
    assert result.results["task"]["succeeded"] == 2
    assert len(list(client.list_doc_jobs())) == 2


@pytest.mark.parametrize("options", ['on_running="fail", deferrable=True', 'on_running="fail"'])
def test_a_batch_fails_beside_another_run_where_the_user_says_so(
    run_tasks: RunTasks, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    def advance(self: Batch, **_: Any) -> Any:
        raise BatchRunningError("_ci_batches/b/", "process 1 on other")

    monkeypatch.setattr(Batch, "advance", advance)
    assert run_tasks(BATCH % options).state == "failed"
