"""The errors of this client, as one tree.

::

    CIError
    ├── CIConnectionError          no response came: could not connect, or the connection was lost
    │   ├── CITimeoutError         no response, or no connection, within the timeout
    │   └── CredentialsError       nothing was sent: no key to sign with
    ├── SubmissionUnknownError     a job was sent; whether the service accepted it is unknown
    ├── RequestExpiredError        the request expired before the service accepted it
    ├── CIServiceError             the service refused: status, code, message, resource, request id
    │   ├── AuthenticationError    unknown key, wrong signature, expired token
    │   ├── AccessDeniedError      the key lacks permission, or the bucket is not bound to CI
    │   ├── ClockSkewError         this machine's clock and the service's differ too much
    │   ├── NotFoundError          the bucket, object, job, queue or template does not exist
    │   ├── InvalidRequestError    the service rejects the request as invalid
    │   │   └── ObjectExistsError  the object exists, and the request forbids replacing it
    │   ├── ThrottledError         too many requests, or a full queue
    │   ├── QueuePausedError       the queue accepts no jobs until it is resumed
    │   └── ServerError            the service failed (5xx)
    ├── CIResponseError            the response does not match its API page
    └── JobError                   the job failed or was cancelled
        ├── JobFailedError
        └── JobCancelledError

The attribute ``is_retryable`` of each error says whether the same request may succeed later. All errors can
be pickled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from airflow_provider_ci.client.jobs.job import Job

E = TypeVar("E", bound="CIError")

TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})
TRANSIENT_CODES = frozenset(
    {
        "IncompleteBody",
        "InternalError",
        "PathConflict",
        "QueueSaturated",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "UploadConflict",
        "UserNetworkTooSlow",
    }
)


class CIError(Exception):
    """The base class of all errors about the service, its responses and its jobs."""

    is_retryable: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, vars(self))


class CIConnectionError(CIError):
    """No response came.

    ``was_sent`` is False if the request certainly did not reach the service (name not resolved, connection
    refused, certificate not trusted). Such a request can be repeated without taking effect twice.
    """

    def __init__(self, text: str, *, was_sent: bool, is_retryable: bool = True) -> None:
        super().__init__(text)
        self.was_sent = was_sent
        self.is_retryable = is_retryable


class CITimeoutError(CIConnectionError):
    """No response, or no connection, within the timeout."""


class CredentialsError(CIConnectionError):
    """Nothing was sent, because no key is available: its source is unreachable, or returned no key."""

    def __init__(self, text: str, *, is_retryable: bool) -> None:
        super().__init__(text, was_sent=False, is_retryable=is_retryable)


class SubmissionUnknownError(CIError):
    """A submission got no usable response: the service may or may not have accepted the job.

    Submitting it again could create a second job. Search for the first one: list the jobs created since, and
    compare ``input_key`` and ``output_key``.
    """

    def __init__(self, *, input_key: str, output_key: str, reason: str) -> None:
        super().__init__(
            f"unconfirmed submission of the job for {input_key!r} -> {output_key!r}: {reason} "
            "Before submitting it again, list the jobs created since and look for this input and output."
        )
        self.input_key = input_key
        self.output_key = output_key
        self.reason = reason


class RequestExpiredError(CIError):
    """``expires_at`` passed before the service could accept the request."""


class CIServiceError(CIError):
    """The service refused a request.

    ``status`` is the HTTP status. ``code`` and ``message`` are the service's own words. If the response has
    no code, ``code`` is derived from the status. ``resource`` and ``request_id`` are empty if the response
    lacks them. ``retry_after`` is the number of seconds that the service asks to wait, and ``server_time`` is
    the service's time in Unix seconds; both are None if the response lacks them. ``is_certain`` is True if
    the request certainly had no effect.
    """

    advice: str = ""

    def __init__(
        self,
        *,
        status: int,
        code: str,
        message: str = "",
        resource: str = "",
        request_id: str = "",
        asked: str = "",
        retry_after: float | None = None,
        server_time: float | None = None,
        is_certain: bool = True,
        is_cut: bool = False,
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.resource = resource
        self.request_id = request_id
        self.retry_after = retry_after
        self.server_time = server_time
        self.is_certain = is_certain
        # A body that was cut off may have contained a retryable code in its lost part.
        self.is_retryable = is_cut or status in TRANSIENT_STATUSES or code in TRANSIENT_CODES
        super().__init__(self._sentence(asked))

    def _sentence(self, asked: str) -> str:
        said = f"{self.status} {self.code}: {self.message}" if self.message else f"{self.status} {self.code}"
        advice = ADVICE.get(self.code, self.advice)
        parts = (
            f"{asked}: {said}" if asked else said,
            f" (request id {self.request_id or 'none'})",
            f". {advice}" if advice else "",
        )
        return "".join(parts)


class AuthenticationError(CIServiceError):
    """The key is unknown, its signature wrong, or its token expired."""

    advice = "Check the SecretId, the SecretKey and, for temporary keys, the token."


class AccessDeniedError(CIServiceError):
    """The key lacks the permission for this action on this resource."""

    advice = "Check the key's policy for this action and bucket, and that the bucket is bound to CI."


class ClockSkewError(CIServiceError):
    """The service rejects the signature's time window, even after a correction by the service's Date."""

    advice = "Set this machine's clock; the service allows 15 minutes of difference."


class NotFoundError(CIServiceError):
    """The bucket, object, job, queue or template does not exist."""

    advice = "Check the name and the region."


class InvalidRequestError(CIServiceError):
    """The service rejects the request as invalid."""


class ObjectExistsError(InvalidRequestError):
    """The object exists already, and the request forbids replacing it."""


class ThrottledError(CIServiceError):
    """Too many requests, or a full queue. Retryable."""

    advice = "Send less at a time (requests_per_second), or wait for jobs to finish."


class QueuePausedError(CIServiceError):
    """The queue is paused and accepts no jobs."""

    advice = "Resume the queue, or name another one."


class ServerError(CIServiceError):
    """The service failed."""

    advice = "It is the service's fault; if it stays, report the request id to its support."


class CIResponseError(CIError):
    """The response does not match its API page.

    ``is_retryable`` is True if the response looks damaged in transit (cut off, not XML).
    """

    def __init__(self, text: str, *, request_id: str = "", is_damaged: bool = False) -> None:
        super().__init__(f"{text} (request id {request_id or 'none'})")
        self.text = text
        self.request_id = request_id
        self.is_retryable = is_damaged

    def to(self, asked: str) -> CIResponseError:
        """Return the same error with the request's description in its message."""
        return CIResponseError(
            f"{asked}: {self.text}", request_id=self.request_id, is_damaged=self.is_retryable
        )


class JobError(CIError):
    """A job ended without success; ``job`` is its last known record."""

    verb = "did not succeed"

    def __init__(self, job: Job) -> None:
        reason = ": ".join(part for part in (job.code, job.message) if part) or "no reason given"
        super().__init__(
            f"{job.tag} job {job.job_id} for {job.input_key!r} {self.verb}: {reason} "
            f"(request id {job.request_id or 'none'})"
        )
        self.job = job


class JobFailedError(JobError):
    """The service could not process the object."""

    verb = "failed"


class JobCancelledError(JobError):
    """The job was cancelled before it ran."""

    verb = "was cancelled"


ADVICE = {
    "CIRoleNotExist": "Create the service role CI_QCSRole in the CI console: jobs use the bucket through it.",
    "MediaBucketAlreadyBinded": "The feature is switched on already; nothing is left to do.",
    **dict.fromkeys(
        ("AIBucketUnBinded", "DocBucketUnBinded", "MediaBucketUnBinded", "PicBucketUnBinded"),
        "Bind the bucket to CI and switch the feature on in the CI console.",
    ),
    "NoSuchQueue": "Check the queue's id, or leave it out for the bucket's own queue.",
    "WriteTargetBucketDenied": "Let the role CI_QCSRole write to the output bucket.",
    "NoSuchBucket": "Check the bucket's name (with its APPID) and region.",
    "NoSuchKey": "Check the object's key, upper and lower case included.",
    "PermanentRedirect": "The bucket lies in another region: correct the region.",
    "QueueSaturated": "The queue is full; wait for its jobs to finish.",
    "TemplateNameDuplicate": "Take another name, or update the template of that name.",
    "TemporaryRedirect": "The bucket lies in another region: correct the region.",
}
"""Advice by code, which replaces the less precise advice of the error's class."""


def _rebuild(cls: type[E], args: tuple[object, ...], state: dict[str, object]) -> E:
    # __init__() is not called, because its arguments differ from class to class.
    error = cls.__new__(cls, *args)
    vars(error).update(state)
    return error
