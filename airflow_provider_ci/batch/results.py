"""The result of one object of a batch: one line of the report."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any

from airflow_provider_ci.batch.planning.planned import Decision, PlannedObject
from airflow_provider_ci.client import (
    CIError,
    CIServiceError,
    DocProcessResult,
    DocWatermarkResult,
    Job,
    JobState,
    PicProcessResult,
)

RETRYABLE_JOB_CODES = frozenset({"InternalError", "ServiceUnavailable", "ResourceDownloadFailed"})
"""Codes of failed jobs that may succeed when they are submitted again (CI, Error Codes)."""
STEP_FAILED = "StepFailed"
"""Code of a line that got no job because the step whose output it reads has failed."""
_MAX_TEXT = 200


class ObjectState(str, Enum):
    """The outcome of an object."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    """The output was up to date, or another batch has just made it."""
    CANCELLED = "cancelled"
    UNFINISHED = "unfinished"
    """The batch ended before the job ended, or before a job was submitted (then there is no job id)."""

    __str__ = str.__str__


_STATES = {
    JobState.SUCCESS: ObjectState.SUCCEEDED,
    JobState.FAILED: ObjectState.FAILED,
    JobState.CANCEL: ObjectState.CANCELLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectResult:
    """One line of the report."""

    key: str
    state: ObjectState
    output_key: str
    """Output key; for jobs with several outputs, the key with its placeholders."""
    job_id: str | None = None
    code: str = ""
    """The service's error code, for an object that failed."""
    message: str = ""
    request_id: str = ""
    """Request id of the response that reported the failure."""
    first_output: str = ""
    """Key of the first object that the job wrote."""
    outputs: int | None = None
    """Number of objects that a document job wrote: one PDF, or one picture per page."""
    pages: int | None = None
    """Number of pages of the document."""
    failed_pages: int | None = None
    """Number of pages that could not be converted although the job succeeded."""
    output_size: int | None = None
    """Size of the output in bytes, if the service reports it."""
    attempts: int = 0
    """Number of jobs that this batch submitted for the object."""
    index: int = 0
    """Place of the object in the plan, from 0."""
    size: int = 0
    """Size of the object, in bytes."""
    fingerprint: str = ""
    """Fingerprint of the content, the operation and the output key."""
    failed_before: bool = False
    """Whether the same content failed in an earlier batch or run, so that no job was submitted again."""
    made_by: str = ""
    """Id of the batch that made the output, if this batch waited for it."""
    step: str = ""
    """Name of the step; empty in a batch with one operation."""
    steps: tuple[ObjectResult, ...] = ()
    """The results of the steps, in a batch with several outputs per object. The other fields then summarize
    the steps: the state is good if all steps are good; otherwise state, code and message are those of one bad
    step."""

    @property
    def is_good(self) -> bool:
        """Whether the output exists."""
        return self.state in (ObjectState.SUCCEEDED, ObjectState.SKIPPED)

    @property
    def is_retryable(self) -> bool:
        """Whether the object failed, and another job may succeed."""
        return self.state is ObjectState.FAILED and self.code in RETRYABLE_JOB_CODES

    @property
    def may_heal(self) -> bool:
        """Deprecated name of :attr:`is_retryable`."""
        warnings.warn("ObjectResult.may_heal is now is_retryable", DeprecationWarning, stacklevel=2)
        return self.is_retryable

    @property
    def complaint(self) -> str:
        """Deprecated name of :attr:`failure_line`."""
        warnings.warn("ObjectResult.complaint is now failure_line", DeprecationWarning, stacklevel=2)
        return self.failure_line

    @property
    def failure_line(self) -> str:
        """The object and the reason of its failure, in one line of limited length."""
        # Keys differ mostly at the end; the beginning is usually a folder that all of them share.
        key = self.key if len(self.key) <= _MAX_TEXT else f"…{self.key[-_MAX_TEXT:]}"
        return f"{key}: {(self.reason or self.state)[:_MAX_TEXT]}"

    @property
    def reason(self) -> str:
        """Why the object failed, in one line."""
        return ": ".join(part for part in (self.code, self.message) if part)


_NAMES = tuple(item.name for item in fields(ObjectResult))
_OF_OBJECT = ("key", "size")
"""Fields that the results of all steps of an object share."""


def result_of_job(planned: PlannedObject, job: Job, *, attempts: int) -> ObjectResult:
    """The result of an object whose job has ended."""
    # A job that did not fail has the code "Success".
    is_failed = job.state is JobState.FAILED
    return ObjectResult(
        **_identity(planned),
        state=_STATES[job.state],
        job_id=job.job_id,
        code=job.code if is_failed else "",
        message=job.message if is_failed else "",
        request_id=job.request_id if is_failed else "",
        attempts=attempts,
        **_amounts(job.result),
    )


def result_without_job(
    planned: PlannedObject,
    state: ObjectState,
    *,
    job_id: str | None = None,
    error: CIError | ValueError | None = None,
    message: str = "",
    attempts: int = 0,
) -> ObjectResult:
    """The result of an object without an ended job: skipped, refused or unfinished."""
    said = error if isinstance(error, CIServiceError) else None
    return ObjectResult(
        **_identity(planned),
        state=state,
        job_id=job_id,
        # An error of the client has no code of the service. The service would use this code.
        code=getattr(error, "code", "InvalidArgument") if error else "",
        message=said.message if said else str(error or message),
        request_id=said.request_id if said else "",
        attempts=attempts,
    )


def explained(result: ObjectResult, reason: str) -> ObjectResult:
    """Add the reason to the result of an unfinished object that has no message yet."""
    if not reason or result.state is not ObjectState.UNFINISHED or result.message:
        return result
    return replace(result, message=reason)


def result_of_decision(planned: PlannedObject) -> ObjectResult | None:
    """The result of an object that the plan has already decided; None if a run still has to reach it."""
    if planned.decision in (Decision.UP_TO_DATE, Decision.UP_TO_DATE_BY_TIME):
        return result_without_job(planned, ObjectState.SKIPPED)
    if planned.decision not in (Decision.UNUSABLE, Decision.FAILED_BEFORE):
        return None
    details, is_before = planned.details, planned.decision is Decision.FAILED_BEFORE
    message = details.get("message", "")
    if is_before:
        report = details.get("report")
        message = f"failed before{f' (see {report})' if report else ''}: {message}"
    return ObjectResult(
        **_identity(planned),
        state=ObjectState.FAILED,
        job_id=details.get("job_id"),
        code=details.get("code", ""),
        message=message,
        failed_before=is_before,
    )


_BAD_STATES = (ObjectState.UNFINISHED, ObjectState.FAILED, ObjectState.CANCELLED)
"""The first of these states that any step has is the state of the object. Unfinished comes first, because the
outcome is not known yet."""


def result_of_steps(steps: Sequence[ObjectResult]) -> ObjectResult:
    """The result of an object from the results of its steps, in their order."""
    first = steps[0]
    bad = next((each for state in _BAD_STATES for each in steps if each.state is state), None)
    succeeded = [each for each in steps if each.state is ObjectState.SUCCEEDED]
    sizes = [each.output_size for each in succeeded if each.output_size is not None]
    total = ObjectResult(
        key=first.key,
        state=ObjectState.SUCCEEDED if succeeded else ObjectState.SKIPPED,
        output_key=first.output_key,
        first_output=first.first_output,
        # A picture job writes one output, and does not report the number.
        outputs=sum(each.outputs or 1 for each in succeeded) or None,
        # The other steps read the same document, or an output of it.
        pages=first.pages,
        failed_pages=sum(each.failed_pages or 0 for each in steps) or None,
        output_size=sum(sizes) if sizes else None,
        attempts=sum(each.attempts for each in steps),
        index=first.index // len(steps),
        size=first.size,
        steps=tuple(steps),
    )
    if bad is None:
        return total
    return replace(
        total,
        state=bad.state,
        job_id=bad.job_id,
        code=bad.code,
        message=f"step {bad.step!r}: {bad.message}" if bad.message else "",
        request_id=bad.request_id,
        failed_before=bad.failed_before,
    )


def lines_of(results: Iterable[ObjectResult]) -> Iterator[ObjectResult]:
    """The results of the lines of each object: the results of its steps, or else the object's own result."""
    for result in results:
        yield from result.steps or (result,)


def result_line(result: ObjectResult) -> dict[str, Any]:
    """A result as JSON, without empty fields."""
    values = ((name, getattr(result, name)) for name in _NAMES)
    # Compared with "is", because 0 equals False and is kept.
    line = {name: value for name, value in values if value not in (None, "", ()) and value is not False}
    if result.steps:
        line["steps"] = [
            {name: value for name, value in result_line(step).items() if name not in _OF_OBJECT}
            for step in result.steps
        ]
    return line


def result_of_line(line: Mapping[str, Any]) -> ObjectResult:
    """A result from its JSON; unknown names are ignored."""
    values = {name: line[name] for name in _NAMES if name in line}
    values = {"key": "", "output_key": "", **values}  # empty fields are left out
    if "steps" in values:
        own = {name: values[name] for name in _OF_OBJECT if name in values}
        values["steps"] = tuple(result_of_line({**own, **step}) for step in values["steps"])
    return ObjectResult(**{**values, "state": ObjectState(line["state"])})


def _identity(planned: PlannedObject) -> dict[str, Any]:
    return {
        "index": planned.index,
        "key": planned.key,
        "size": planned.size,
        "fingerprint": planned.fingerprint,
        "output_key": planned.output_key,
        "step": planned.step,
    }


def _amounts(result: Any) -> dict[str, Any]:
    if isinstance(result, DocProcessResult):
        return {
            "first_output": result.pages[0].key if result.pages else "",
            "outputs": len(result.pages),
            "pages": result.total_page_count,
            "failed_pages": result.fail_page_count or None,
        }
    if isinstance(result, DocWatermarkResult):
        return {"pages": result.total_page_count, "output_size": result.size}
    if isinstance(result, PicProcessResult):
        return {"first_output": result.key, "output_size": result.size}
    return {}
