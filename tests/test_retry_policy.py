from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import airflow.sdk
import pytest
from airflow.models.taskinstancehistory import TaskInstanceHistory
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowException
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_ci import compat
from airflow_provider_ci.batch import (
    BatchFailedError,
    BatchRunningError,
    BatchSummary,
    OutputTemplateError,
    QueueStaysPausedError,
)
from airflow_provider_ci.batch.limits import FailureLimit
from airflow_provider_ci.client import (
    AccessDeniedError,
    AuthenticationError,
    CIClient,
    CIConnectionError,
    CIResponseError,
    CITimeoutError,
    ClockSkewError,
    InvalidRequestError,
    Job,
    JobCancelledError,
    JobFailedError,
    JobState,
    NotFoundError,
    QueuePausedError,
    ServerError,
    SubmissionUnknownError,
    ThrottledError,
)
from airflow_provider_ci.hooks import ConnectionConfigError
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.retry_policy import CIRetryPolicy
from airflow_provider_ci.sensors import JobsFailedError

RunDag = Callable[..., Any]
Fill = Callable[..., None]


def job(code: str, state: JobState = JobState.FAILED) -> Job:
    now = datetime.now(timezone.utc)
    return Job(job_id="d1", tag="DocProcess", state=state, code=code, created_at=now)


def failed_batch(**counts: int) -> BatchFailedError:
    none = dict.fromkeys(("succeeded", "failed", "skipped", "cancelled", "unfinished"), 0)
    values = {"batch_id": "b", "total": 9, "seconds": 1.0, "report_key": "r", **none, **counts}
    return BatchFailedError(BatchSummary.from_json(values), FailureLimit())


def failed_for_now() -> BatchFailedError:
    error = failed_batch(failed=1)
    error.is_retryable = True
    return error


HEALS = [
    ThrottledError(status=429, code="SlowDown"),
    ThrottledError(status=403, code="QueueSaturated"),
    QueuePausedError(status=403, code="QueuePaused"),
    ServerError(status=503, code="ServiceUnavailable"),
    CIConnectionError("gone", was_sent=True),
    CITimeoutError("late", was_sent=True),
    CIResponseError("cut off", is_damaged=True),
    SubmissionUnknownError(input_key="a", output_key="b", reason="cut"),
    JobFailedError(job("InternalError")),
    BatchRunningError("_ci_batches/b/", "process 1"),
    QueueStaysPausedError("p1", 600.0),
    failed_batch(unfinished=1, failed=3),
    failed_batch(cancelled=1),
    failed_for_now(),
]
HOPELESS = [
    AuthenticationError(status=403, code="InvalidAccessKeyId"),
    AuthenticationError(status=403, code="SignatureDoesNotMatch"),
    AccessDeniedError(status=403, code="AccessDenied"),
    AccessDeniedError(status=400, code="CIRoleNotExist"),
    NotFoundError(status=404, code="NoSuchBucket"),
    NotFoundError(status=404, code="QueueNotFound"),
    InvalidRequestError(status=400, code="InvalidArgument"),
    InvalidRequestError(status=301, code="PermanentRedirect"),
    ServerError(status=501, code="NotImplemented"),
    CIConnectionError("certificate not trusted", was_sent=False, is_retryable=False),
    JobFailedError(job("ResourceNotSupported")),
    JobsFailedError("1 of 2 jobs did not succeed"),
    failed_batch(failed=3),
    OutputTemplateError("output template ''"),
    ConnectionConfigError("login is missing"),
]
OPEN = [
    AuthenticationError(status=403, code="ExpiredToken"),
    ClockSkewError(status=403, code="RequestTimeTooSkewed"),
    NotFoundError(status=404, code="NoSuchKey"),
    CIResponseError("not as documented"),
    JobCancelledError(job("", JobState.CANCEL)),
    AirflowException("something else"),
    ValueError("something else"),
]


def names(errors: Sequence[Exception]) -> list[str]:
    return [f"{type(error).__name__} {getattr(error, 'code', '')}".strip() for error in errors]


@pytest.mark.parametrize("error", HEALS, ids=names(HEALS))
def test_what_heals_by_waiting_is_retried_later(error: Exception) -> None:
    decision = CIRetryPolicy().evaluate(error, 1, 3)
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay is not None
    assert timedelta(seconds=27) <= decision.retry_delay <= timedelta(seconds=33)
    assert str(decision.reason).startswith(f"waiting may heal this: {type(error).__name__}: ")


@pytest.mark.parametrize("error", HOPELESS, ids=names(HOPELESS))
def test_what_never_heals_fails_at_once(error: Exception) -> None:
    decision = CIRetryPolicy().evaluate(error, 1, 3)
    assert decision.action is RetryAction.FAIL
    assert str(decision.reason).startswith(f"no retry can heal this: {type(error).__name__}: ")


@pytest.mark.parametrize("error", OPEN, ids=names(OPEN))
def test_all_else_is_left_to_airflow(error: Exception) -> None:
    assert CIRetryPolicy().evaluate(error, 1, 3).action is RetryAction.DEFAULT


THROTTLED = ThrottledError(status=429, code="SlowDown")


@pytest.mark.parametrize(
    ("try_number", "seconds"), [(1, 10), (2, 20), (3, 40), (4, 60), (9, 60), (10_000, 60)]
)
def test_the_delay_doubles_up_to_the_longest(try_number: int, seconds: float) -> None:
    policy = CIRetryPolicy(first_delay=timedelta(seconds=10), longest_delay=timedelta(minutes=1))
    delay = policy.evaluate(THROTTLED, try_number, 3).retry_delay
    assert delay is not None
    assert seconds * 0.9 <= delay.total_seconds() <= seconds * 1.1


def test_the_service_is_never_asked_sooner_than_it_said() -> None:
    error = ThrottledError(status=429, code="SlowDown", retry_after=7200.0)
    assert CIRetryPolicy().evaluate(error, 1, 3).retry_delay == timedelta(hours=2)


def test_tasks_that_were_throttled_together_do_not_come_back_together() -> None:
    assert len({CIRetryPolicy().evaluate(THROTTLED, 1, 3).retry_delay for _ in range(20)}) > 10


def test_a_reason_fits_airflows_column() -> None:
    error = InvalidRequestError(status=400, code="InvalidArgument", message="x" * 2000)
    assert len(str(CIRetryPolicy().evaluate(error, 1, 3).reason)) == 500


def test_it_survives_json() -> None:
    before = CIRetryPolicy(first_delay=timedelta(seconds=1.5), longest_delay=timedelta(hours=1))
    after = CIRetryPolicy.deserialize(json.loads(json.dumps(before.serialize())))
    assert (after.first_delay, after.longest_delay) == (before.first_delay, before.longest_delay)


def test_an_older_airflow_is_told_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    compat.require_retry_policies()
    monkeypatch.delattr(airflow.sdk, "RetryPolicy")
    monkeypatch.setattr(airflow.sdk, "__getattr__", refuse)
    with pytest.raises(ImportError, match=r"needs Airflow 3.3 or newer, this is .*: leave retry_policy out"):
        compat.require_retry_policies()


def refuse(name: str) -> Any:
    raise AttributeError(name)


DAG_TEXT = """
from datetime import timedelta
from airflow.sdk import DAG
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import CIDocProcessOperator
from airflow_provider_ci.retry_policy import CIRetryPolicy

with DAG(DAG_ID, schedule=None) as dag:
    CIDocProcessOperator(task_id="convert", input_key="a.docx", output_key="out/a.pdf", poll_interval=0.1,
        operation=DocProcess(target="pdf"), retries=3, retry_delay=timedelta(0),
        retry_policy=CIRetryPolicy(first_delay=timedelta(seconds=0.1)))
"""


def test_airflow_fails_a_hopeless_task_at_once(
    run_dag: RunDag, fill_bucket: Fill, client: CIClient, capfd: pytest.CaptureFixture[str]
) -> None:
    fill_bucket("a.docx", content=b"")
    result = run_dag(DAG_TEXT)
    assert result.tasks == {"convert": "failed"}
    assert len(list(client.list_doc_jobs())) == 1
    assert "no retry can heal this: JobFailedError" in "".join(capfd.readouterr())


def test_airflow_retries_what_heals_as_the_policy_says(
    run_dag: RunDag, fill_bucket: Fill, local_ci: LocalCI
) -> None:
    fill_bucket("a.docx")
    local_ci.faults.add("error", status=403, code="QueuePaused", method="POST", count=1)
    result = run_dag(DAG_TEXT)
    assert result.tasks == {"convert": "success"}
    with create_session() as session:
        of_run = TaskInstanceHistory.run_id == result.run.run_id
        first_try = session.scalars(select(TaskInstanceHistory).where(of_run)).one()
        assert str(first_try.retry_reason).startswith("waiting may heal this: QueuePausedError")
        assert first_try.retry_delay_override is not None
        assert 0.09 <= first_try.retry_delay_override <= 0.11
