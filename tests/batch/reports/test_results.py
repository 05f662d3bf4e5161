from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_ci.batch import ObjectResult, ObjectState
from airflow_provider_ci.batch.planning.planned import PlannedObject
from airflow_provider_ci.batch.results import (
    result_line,
    result_of_job,
    result_of_line,
    result_without_job,
)
from airflow_provider_ci.client import (
    CIServiceError,
    DocProcessResult,
    Job,
    JobState,
    PageInfo,
    PicProcessResult,
)

PLANNED = PlannedObject(index=3, key="a", size=1, etag="e", output_key="o", fingerprint="f")


def ended(state: JobState, **values: Any) -> ObjectResult:
    now = datetime.now(timezone.utc)
    job = Job(job_id="d1", tag="DocProcess", state=state, created_at=now, request_id="r", **values)
    return result_of_job(PLANNED, job, attempts=2)


def test_a_job_that_succeeded_speaks_for_its_object() -> None:
    found = ended(JobState.SUCCESS)
    assert (found.state, found.job_id, found.attempts) == (ObjectState.SUCCEEDED, "d1", 2)
    assert (found.index, found.key, found.size) == (3, "a", 1)
    assert (found.output_key, found.fingerprint) == ("o", "f")


def test_a_failed_job_gives_its_code_message_and_request_id() -> None:
    found = ended(JobState.FAILED, code="Broken", message="cannot be opened")
    assert (found.state, found.code, found.message) == (ObjectState.FAILED, "Broken", "cannot be opened")
    assert found.request_id == "r"
    assert found.reason == "Broken: cannot be opened"


@pytest.mark.parametrize("state", [JobState.CANCEL, JobState.SUCCESS])
def test_the_word_success_is_nobodys_reason(state: JobState) -> None:
    """The service gives the code ``Success`` to every job that has not failed, even to a cancelled one."""
    found = ended(state, code="Success", message="Success")
    assert (found.code, found.message) == ("", "")


def test_pages_that_failed_are_counted() -> None:
    result = DocProcessResult(
        total_page_count=3,
        succ_page_count=2,
        fail_page_count=1,
        total_sheet_count=0,
        pages=(PageInfo(page_no=1, key="o/1"), PageInfo(page_no=2, key="o/2")),
    )
    found = ended(JobState.SUCCESS, result=result)
    assert (found.outputs, found.pages, found.failed_pages, found.first_output) == (2, 3, 1, "o/1")


def test_a_pictures_size_is_noted() -> None:
    found = ended(JobState.SUCCESS, result=PicProcessResult(key="o", size=7))
    assert (found.first_output, found.output_size) == ("o", 7)


def test_a_refusal_of_the_service_is_quoted() -> None:
    error = CIServiceError(status=400, code="InvalidArgument", message="no such type", request_id="r")
    found = result_without_job(PLANNED, ObjectState.FAILED, error=error, attempts=1)
    assert (found.code, found.message, found.request_id) == ("InvalidArgument", "no such type", "r")
    assert found.failure_line == "a: InvalidArgument: no such type"


def test_a_refusal_of_the_client_is_quoted() -> None:
    found = result_without_job(PLANNED, ObjectState.FAILED, error=ValueError("output key is too long"))
    assert (found.code, found.message, found.job_id) == ("InvalidArgument", "output key is too long", None)


@pytest.mark.parametrize("state", list(ObjectState))
def test_only_what_has_its_output_is_good(state: ObjectState) -> None:
    found = result_without_job(PLANNED, state)
    assert found.is_good is (state in (ObjectState.SUCCEEDED, ObjectState.SKIPPED))


@pytest.mark.parametrize(
    "found",
    [
        ended(JobState.SUCCESS, result=PicProcessResult(key="o", size=0)),
        ended(JobState.FAILED, code="Broken", message="合同"),
        ended(JobState.CANCEL),
        result_without_job(PLANNED, ObjectState.SKIPPED),
        ObjectResult(key="k", state=ObjectState.UNFINISHED, output_key="o"),
    ],
    ids=lambda found: str(found.state),
)
def test_a_result_survives_the_way_through_its_line(found: ObjectResult) -> None:
    line = json.loads(json.dumps(result_line(found)))
    assert result_of_line({**line, "of_a_later_version": 1}) == found
