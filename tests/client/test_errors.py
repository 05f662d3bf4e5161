"""Errors: their tree, their messages, and pickling them for another process."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_ci import client as public
from airflow_provider_ci.client import (
    CIClient,
    CIConnectionError,
    CIError,
    CIResponseError,
    CIServiceError,
    CITimeoutError,
    ClockSkewError,
    CredentialsError,
    InvalidRequestError,
    Job,
    JobCancelledError,
    JobError,
    JobFailedError,
    JobState,
    NotFoundError,
    ObjectExistsError,
    RequestExpiredError,
    SubmissionUnknownError,
    ThrottledError,
    errors,
)

JOB = Job(
    job_id="d1",
    tag="DocProcess",
    state=JobState.FAILED,
    code="ParseError",
    message="broken",
    created_at=datetime(2023, 11, 15, tzinfo=timezone.utc),
    input_key="in/a b.docx",
    request_id="NWRl",
    raw={"Operation": {"DocProcess": {"DocPassword": "openup"}}},
)

SERVICE_ERRORS: list[type[CIServiceError]] = [
    CIServiceError,
    *CIServiceError.__subclasses__(),
    ObjectExistsError,
]
EXAMPLES: list[CIError] = [
    CIError("x"),
    CIConnectionError("x", was_sent=True),
    CITimeoutError("x", was_sent=False, is_retryable=False),
    CredentialsError("x", is_retryable=True),
    RequestExpiredError("x"),
    SubmissionUnknownError(input_key="a", output_key="b", reason="x."),
    *(
        cls(
            status=400,
            code="C",
            message="m",
            resource="/r",
            request_id="q",
            asked="GET http://x/",
            retry_after=3,
            server_time=5.0,
            is_certain=False,
        )
        for cls in SERVICE_ERRORS
    ),
    CIResponseError("x", request_id="q", is_damaged=True),
    JobError(JOB),
    JobFailedError(JOB),
    JobCancelledError(JOB),
]


def every_subclass(cls: type[Any]) -> set[type[Any]]:
    """All subclasses defined in ``errors``; the batch engine has its own errors under the same root."""
    found = {cls}.union(*(every_subclass(each) for each in cls.__subclasses__()))
    return {each for each in found if each.__module__ == errors.__name__}


def test_every_error_is_exported_and_has_an_example_here() -> None:
    ours = every_subclass(CIError)
    assert ours == {type(error) for error in EXAMPLES}
    assert {cls.__name__ for cls in ours} <= set(public.__all__)


def test_the_tree_is_the_one_that_is_drawn() -> None:
    drawn = [
        line
        for line in (errors.__doc__ or "").splitlines()
        if line.strip().startswith(("├", "└", "│", "CIError"))
    ]
    parents = {0: "CIError"}
    for line in drawn[1:]:
        name = next(word for word in line.split() if word[0].isalpha())
        depth = line.index(name) // 4 - 1
        parents[depth] = name
        assert getattr(errors, name).__bases__[0].__name__ == parents[depth - 1], line
    assert len(drawn) == len(every_subclass(CIError))


def pickled(error: CIError) -> CIError:
    again: CIError = pickle.loads(pickle.dumps(error))
    return again


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("through", [pickled, copy.copy])
def test_errors_survive_a_journey(error: CIError, through: Callable[[CIError], CIError]) -> None:
    again = through(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert again.is_retryable == error.is_retryable


def test_a_refusal_says_what_was_asked_what_came_and_what_to_do(
    ci: CIClient, wire: Any, error_reply: Any
) -> None:
    wire.will(error_reply(404, "NoSuchKey", "The key does not exist."))
    with pytest.raises(NotFoundError) as caught:
        ci.read_object("in/a b+.docx")
    error = caught.value
    assert str(error) == (
        "GET examplebucket-1250000000.cos.ap-guangzhou.myqcloud.com/in/a b+.docx "
        f"(at {wire.endpoint}): 404 NoSuchKey: The key does not exist. (request id NWRl). "
        "Check the object's key, upper and lower case included."
    )
    assert (error.status, error.code, error.message) == (404, "NoSuchKey", "The key does not exist.")
    assert (error.resource, error.request_id) == ("", "NWRl")


def test_a_job_error_says_which_job_and_object_and_why() -> None:
    with pytest.raises(JobFailedError) as caught:
        JOB.raise_for_state()
    assert str(caught.value) == (
        "DocProcess job d1 for 'in/a b.docx' failed: ParseError: broken (request id NWRl)"
    )
    assert caught.value.job is JOB
    assert "openup" not in repr(caught.value) + repr(JOB)


RETRYABLE = [
    (429, "SlowDown", True),
    (500, "InternalError", True),
    (501, "NotImplemented", False),
    (503, "X", True),
    (400, "RequestTimeout", True),
    (409, "PathConflict", True),
    (403, "QueueSaturated", True),
    (403, "QueuePaused", False),
    (404, "NoSuchKey", False),
    (400, "InvalidArgument", False),
]


@pytest.mark.parametrize(("status", "code", "expected"), RETRYABLE)
def test_whether_to_try_again_is_a_property_of_the_refusal(status: int, code: str, expected: bool) -> None:
    assert CIServiceError(status=status, code=code).is_retryable is expected


def test_no_other_error_is_tried_again_but_lost_and_damaged_ones() -> None:
    assert CIConnectionError("x", was_sent=False).is_retryable
    assert CIResponseError("x", is_damaged=True).is_retryable
    assert not CIResponseError("x").is_retryable
    assert not SubmissionUnknownError(input_key="a", output_key="b", reason="x.").is_retryable
    assert not JobFailedError(JOB).is_retryable
    assert not ClockSkewError(status=403, code="RequestTimeTooSkewed").is_retryable
    assert not InvalidRequestError(status=400, code="InvalidArgument").is_retryable
    assert ThrottledError(status=429, code="SlowDown").is_retryable
