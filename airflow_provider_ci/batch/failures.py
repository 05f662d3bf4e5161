"""What an error means for a batch, how many objects may fail, and the errors that end it."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_ci.batch.report import BatchSummary
from airflow_provider_ci.client import (
    CIError,
    CIServiceError,
    InvalidRequestError,
    NotFoundError,
    QueuePausedError,
    SubmissionUnknownError,
)

_ABOUT_EVERY_OBJECT = frozenset(
    {"InvalidHost", "NoSuchBucket", "PermanentRedirect", "QueueNotFound", "TemporaryRedirect"}
)
"""Codes of refusals that the next object would meet as well: the bucket, its region or the queue is wrong."""


def waiting_may_heal(error: CIError) -> bool:
    """Whether the service is away, busy, full or paused, so that the same step may work later."""
    return error.is_retryable or isinstance(error, (QueuePausedError, SubmissionUnknownError))


def is_about_one_object(error: CIError | ValueError) -> bool:
    """Whether a submission was refused for a reason that says nothing of the next object."""
    if not isinstance(error, CIServiceError):
        return isinstance(error, ValueError)  # the client refuses such a key before it is sent
    if waiting_may_heal(error) or error.code in _ABOUT_EVERY_OBJECT:
        return False
    return isinstance(error, (InvalidRequestError, NotFoundError)) or error.code == "ResourceAccessDenied"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLimit:
    """A number of objects, or a share of all."""

    count: int = 0
    percent: float | None = None

    @classmethod
    def parse(cls, value: int | str) -> FailureLimit:
        """A limit from ``3``, ``"3"`` or ``"2.5%"``.

        :raises ValueError: anything else, a negative number, or more than 100 percent.
        """
        text = str(value).strip()
        try:
            if text.endswith("%"):
                percent = float(text[:-1])
                if not 0 <= percent <= 100:
                    raise ValueError
                return cls(percent=percent)
            count = int(text)
            if count < 0:
                raise ValueError
            return cls(count=count)
        except ValueError:
            raise ValueError(
                f"max_failures must be a number of objects or a percentage, not {value!r}"
            ) from None

    def allows(self, failed: int, total: int) -> bool:
        """Whether a batch of ``total`` objects with so many failures is good enough."""
        return failed <= (self.count if self.percent is None else round(total * self.percent / 100, 6))

    def __str__(self) -> str:
        return str(self.count) if self.percent is None else f"{self.percent:g}%"


class BatchFailedError(CIError):
    """More objects failed than the batch allows, or some never finished. Its report is complete."""

    def __init__(self, summary: BatchSummary, limit: FailureLimit) -> None:
        self.summary = summary
        self.limit = limit
        self.is_retryable = summary.may_heal > 0
        bad = [
            f"{count} {word}"
            for count, word in (
                (summary.failed, "failed"),
                (summary.cancelled, "cancelled"),
                (summary.unfinished, "unfinished"),
            )
            if count
        ]
        first = f" First failures: {'; '.join(summary.first_failures)}." if summary.first_failures else ""
        super().__init__(
            f"batch {summary.batch_id}: of {summary.total} objects {', '.join(bad)}"
            f" (allowed: {limit}).{first}"
            f" Every object's verdict is in {summary.report_key}; a retry takes only what is missing."
        )

    def __reduce__(self) -> tuple[type[BatchFailedError], tuple[BatchSummary, FailureLimit]]:
        return type(self), (self.summary, self.limit)


class BatchStoppedError(CIError):
    """The batch was told to stop. Its jobs go on unless they are cancelled."""

    def __init__(self, batch_id: str, job_ids: list[str]) -> None:
        self.batch_id = batch_id
        self.job_ids = job_ids
        super().__init__(f"batch {batch_id} was stopped with {len(job_ids)} jobs waiting or running")

    def __reduce__(self) -> tuple[type[BatchStoppedError], tuple[str, list[str]]]:
        return type(self), (self.batch_id, self.job_ids)
