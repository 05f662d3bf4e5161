"""The errors that end a batch, and whether a service error concerns one object or the whole batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_ci.client import (
    CIError,
    CIServiceError,
    InvalidRequestError,
    NotFoundError,
    QueuePausedError,
    SubmissionUnknownError,
)

if TYPE_CHECKING:
    from airflow_provider_ci.batch.limits import FailureLimit
    from airflow_provider_ci.batch.reports.summary import BatchSummary

ADVICE_FOR_BATCH = {
    "AIBucketUnBinded": "Bind the bucket to CI and switch the feature on in the CI console.",
    "CIRoleNotExist": "Create the service role CI_QCSRole in the CI console.",
    "DocBucketUnBinded": "Switch document processing on for this bucket in the CI console.",
    "InvalidHost": "Check the bucket's name and region.",
    "MediaBucketUnBinded": "Switch media processing on for this bucket in the CI console.",
    "NoSuchBucket": "Check the bucket's name (with its APPID) and region, also those of the output.",
    "NoSuchQueue": "Check queue_id, or leave it out to use the default queue.",
    "PermanentRedirect": "The bucket lies in another region: correct the region.",
    "PicBucketUnBinded": "Switch picture processing on for this bucket in the CI console.",
    "QueueNotFound": "Check queue_id, or leave it out to use the default queue.",
    "TemporaryRedirect": "The bucket lies in another region: correct the region.",
    "WriteTargetBucketDenied": "Let the role CI_QCSRole write to the output bucket.",
}
"""Advice by error code. The codes concern the bucket, the queue or a permission: every object would fail."""

_MESSAGES_FOR_BATCH = ("bucket's host is unavailable", "bucket unbinded", "not activated")
"""Parts of messages that mean the same as these codes, for responses with a generic code."""


def is_worth_waiting(error: CIError) -> bool:
    """Whether the service is unavailable, busy, full or paused, so that the same step may work later."""
    return error.is_retryable or isinstance(error, (QueuePausedError, SubmissionUnknownError))


def concerns_batch(code: str, message: str) -> bool:
    """Whether every other object would get this error as well."""
    return (
        code in ADVICE_FOR_BATCH
        # Each feature of the service has such a code (1045/33700).
        or code.endswith("BucketUnBinded")
        or any(part in message for part in _MESSAGES_FOR_BATCH)
    )


def concerns_one_object(error: CIError | ValueError) -> bool:
    """Whether a submission was refused for a reason that concerns only its own object."""
    if not isinstance(error, CIServiceError):
        return isinstance(error, ValueError)  # the client refuses such a key before it is sent
    if is_worth_waiting(error) or concerns_batch(error.code, error.message):
        return False
    return isinstance(error, (InvalidRequestError, NotFoundError)) or error.code == "ResourceAccessDenied"


class BatchRunningError(CIError):
    """Another run of the same batch is active, so this run has done nothing or has stopped."""

    def __init__(self, folder: str, holder: str) -> None:
        self.folder = folder
        self.holder = holder
        super().__init__(
            f"another run of this batch is active: {holder}, in {folder!r}. Wait until it has ended, "
            "or stop it; the next run continues its work"
        )

    # Errors travel between processes, and pickle would call the class with the message alone.
    def __reduce__(self) -> tuple[type[BatchRunningError], tuple[str, str]]:
        return type(self), (self.folder, self.holder)


class OutputConflictError(CIError):
    """Another batch makes one of the outputs by another operation. Nothing was submitted."""

    def __init__(self, batch_id: str, other_batch_id: str, output: str) -> None:
        self.batch_id = batch_id
        self.other_batch_id = other_batch_id
        self.output = output
        super().__init__(
            f"batch {other_batch_id} is making {output!r} by another operation, so batch {batch_id} "
            "submitted nothing. Wait until that batch has ended, or name the outputs differently"
        )

    def __reduce__(self) -> tuple[type[OutputConflictError], tuple[str, str, str]]:
        return type(self), (self.batch_id, self.other_batch_id, self.output)


class LedgerLostError(CIError):
    """The plan of a batch was deleted before the batch ended, and some of its objects are unknown."""

    def __init__(self, summary: BatchSummary, lost: int) -> None:
        self.summary = summary
        self.lost = lost
        super().__init__(
            f"{lost} objects are unknown: the plan of batch {summary.batch_id} was deleted before the batch "
            f"ended, and the source no longer has them. The {summary.total} objects that were found are in "
            f"{summary.report_key}. Process the others in a new batch that names them"
        )

    def __reduce__(self) -> tuple[type[LedgerLostError], tuple[BatchSummary, int]]:
        return type(self), (self.summary, self.lost)


class WholeBatchError(CIError):
    """A job failed for a reason that concerns the bucket, the queue or a permission."""

    def __init__(self, batch_id: str, code: str, message: str, key: str) -> None:
        self.batch_id = batch_id
        self.code = code
        self.message = message
        self.key = key
        advice = ADVICE_FOR_BATCH.get(code, "Check the bucket, the queue and the permissions.")
        super().__init__(
            f"{code}: {message or 'no message'} (object {key!r}). Every object of batch "
            f"{batch_id} would fail, so it stopped. {advice} Then run the batch again"
        )

    def __reduce__(self) -> tuple[type[WholeBatchError], tuple[str, str, str, str]]:
        return type(self), (self.batch_id, self.code, self.message, self.key)


class BatchFailedError(CIError):
    """More objects failed than the batch allows, or some did not finish. The report is complete."""

    def __init__(self, summary: BatchSummary, limit: FailureLimit) -> None:
        self.summary = summary
        self.limit = limit
        self.is_retryable = summary.retryable > 0 or summary.unfinished > 0
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        summary = self.summary
        counts = (
            (summary.failed, "failed"),
            (summary.cancelled, "cancelled"),
            (summary.unfinished, "unfinished"),
        )
        bad = ", ".join(f"{count:,} {word}" for count, word in counts if count) or "0 failed"
        groups = "; ".join(str(group) for group in summary.failures[:3])
        more = len(summary.failures) - 3
        stopped = f"Stopped: {summary.stop_reason}. " if summary.stop_reason else ""
        reasons = f": {groups}{f'; and {more} more reasons' if more > 0 else ''}" if groups else ""
        return (
            f"{bad} of {summary.total:,} objects (allowed: {self.limit}){reasons}. {stopped}"
            f"Report: {summary.report_key}; batch {summary.batch_id}. A retry submits only the objects that "
            "can still succeed"
        )

    def __reduce__(self) -> tuple[type[BatchFailedError], tuple[BatchSummary, FailureLimit]]:
        return type(self), (self.summary, self.limit)


class BatchStoppedError(CIError):
    """The batch was asked to stop. Its jobs keep running unless they are cancelled."""

    def __init__(self, batch_id: str, job_ids: list[str]) -> None:
        self.batch_id = batch_id
        self.job_ids = job_ids
        super().__init__(f"stopped with {len(job_ids)} jobs in flight: batch {batch_id}")

    def __reduce__(self) -> tuple[type[BatchStoppedError], tuple[str, list[str]]]:
        return type(self), (self.batch_id, self.job_ids)
