"""What became of an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any

from airflow_provider_ci.batch.plan import PlannedJob
from airflow_provider_ci.client import (
    CIError,
    CIServiceError,
    DocProcessResult,
    Job,
    JobState,
    PicProcessResult,
)

FIRST_FAILURES = 3
"""So many failed objects are named in errors, logs and summaries."""


TRANSIENT_CODES = frozenset({"InternalError", "ServiceUnavailable", "ResourceDownloadFailed"})
"""Codes of failed jobs that may succeed when they are submitted again (CI, Error Codes)."""
_MAX_TEXT = 200


class ObjectState(str, Enum):
    """What became of an object."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Its output was there already and newer."""
    CANCELLED = "cancelled"
    UNFINISHED = "unfinished"
    """The batch ended before its job did, or before it was submitted (then it has no job id)."""

    __str__ = str.__str__


_VERDICTS = {
    JobState.SUCCESS: ObjectState.SUCCEEDED,
    JobState.FAILED: ObjectState.FAILED,
    JobState.CANCEL: ObjectState.CANCELLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectVerdict:
    """One line of the report."""

    key: str
    state: ObjectState
    output_key: str
    """Key of the output; of jobs with several outputs, the name with its placeholders."""
    job_id: str | None = None
    code: str = ""
    """The service's error code, for an object that failed."""
    message: str = ""
    request_id: str = ""
    """Of the answer that said that the object failed."""
    first_output: str = ""
    """Key of the first object that the job wrote."""
    outputs: int | None = None
    """Objects that a document's job wrote: one PDF, or a picture for each page that was wanted."""
    pages: int | None = None
    """Pages of the document."""
    failed_pages: int | None = None
    """Pages that could not be converted, of a job that succeeded all the same."""
    output_size: int | None = None
    """Bytes of a picture."""
    attempts: int = 0
    """Jobs that were submitted for the object."""
    index: int = 0
    """Place of the object in the plan, from 0."""
    size: int = 0
    """Bytes of the object."""
    fingerprint: str = ""
    """Of the object's content, the operation and the output."""

    @property
    def is_good(self) -> bool:
        """Whether the output is there."""
        return self.state in (ObjectState.SUCCEEDED, ObjectState.SKIPPED)

    @property
    def may_heal(self) -> bool:
        """Whether the object failed for a reason that passes."""
        return self.state is ObjectState.FAILED and self.code in TRANSIENT_CODES

    @property
    def complaint(self) -> str:
        """The object and why it has no output, in one line of limited length."""
        key = self.key if len(self.key) <= _MAX_TEXT else f"…{self.key[-_MAX_TEXT:]}"
        return f"{key}: {(self.reason or self.state)[:_MAX_TEXT]}"

    @property
    def reason(self) -> str:
        """Why the object failed, in one line."""
        return ": ".join(part for part in (self.code, self.message) if part)


_NAMES = tuple(item.name for item in fields(ObjectVerdict))


def verdict_of_job(planned: PlannedJob, job: Job, *, attempts: int) -> ObjectVerdict:
    """The verdict that a job that has ended gives its object."""
    # The code of a job that did not fail is "Success", whatever else became of it.
    is_failed = job.state is JobState.FAILED
    return ObjectVerdict(
        **_identity(planned),
        state=_VERDICTS[job.state],
        job_id=job.job_id,
        code=job.code if is_failed else "",
        message=job.message if is_failed else "",
        request_id=job.request_id if is_failed else "",
        attempts=attempts,
        **_amounts(job.result),
    )


def verdict_without_job(
    planned: PlannedJob,
    state: ObjectState,
    *,
    job_id: str | None = None,
    error: CIError | ValueError | None = None,
    attempts: int = 0,
) -> ObjectVerdict:
    """The verdict for an object that no ended job speaks for: skipped, refused or unfinished."""
    said = error if isinstance(error, CIServiceError) else None
    return ObjectVerdict(
        **_identity(planned),
        state=state,
        job_id=job_id,
        code=said.code if said else "",
        message=said.message if said else str(error or ""),
        request_id=said.request_id if said else "",
        attempts=attempts,
    )


def verdict_line(verdict: ObjectVerdict) -> dict[str, Any]:
    """A verdict as JSON, without what is empty."""
    return {name: value for name, value in asdict(verdict).items() if value not in (None, "")}


def verdict_of_line(line: Mapping[str, Any]) -> ObjectVerdict:
    """A verdict from its JSON; unknown names are ignored."""
    values = {name: line[name] for name in _NAMES if name in line}
    return ObjectVerdict(**{**values, "state": ObjectState(line["state"])})


def _identity(planned: PlannedJob) -> dict[str, Any]:
    return {
        "index": planned.index,
        "key": planned.key,
        "size": planned.size,
        "fingerprint": planned.fingerprint,
        "output_key": planned.output_key,
    }


def _amounts(result: DocProcessResult | PicProcessResult | None) -> dict[str, Any]:
    if isinstance(result, DocProcessResult):
        return {
            "first_output": result.pages[0].key if result.pages else "",
            "outputs": len(result.pages),
            "pages": result.total_page_count,
            "failed_pages": result.fail_page_count or None,
        }
    if isinstance(result, PicProcessResult):
        return {"first_output": result.key, "output_size": result.size}
    return {}
