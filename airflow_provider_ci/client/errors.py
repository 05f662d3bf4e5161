"""What can go wrong, as one tree.

::

    CIError
    ├── CIConnectionError          no answer came: could not connect, or the connection was lost
    │   ├── CITimeoutError         ... in time
    │   └── CredentialsError       nothing was sent: there is no key to sign with
    ├── SubmissionUnknownError     a job was sent, and whether the service took it is not known
    ├── RequestExpiredError        it was not taken, for its time was up before
    ├── CIServiceError             the service refused: status, code, message, resource, request id
    │   ├── AuthenticationError    unknown key, wrong signature, expired token
    │   ├── AccessDeniedError      the key may not do this, or the bucket is not bound to CI
    │   ├── ClockSkewError         this machine's clock and the service's differ too much
    │   ├── NotFoundError          no such bucket, object, job, queue or template
    │   ├── InvalidRequestError    the request makes no sense to the service
    │   │   └── ObjectExistsError  the object is there, and was not to be replaced
    │   ├── ThrottledError         too many requests, or a full queue
    │   ├── QueuePausedError       the queue takes no jobs until it is resumed
    │   └── ServerError            the service failed (5xx)
    ├── CIResponseError            the answer is not what the API page says
    └── JobError                   the job ended badly
        ├── JobFailedError
        └── JobCancelledError

``is_retryable`` says of each whether the same request may succeed later. All survive pickling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from airflow_provider_ci.client.jobs import Job

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
    """The root: everything that this client raises about the service, its answers and its jobs."""

    is_retryable: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, vars(self))


class CIConnectionError(CIError):
    """No answer came.

    ``was_sent`` is False where the request certainly did not reach the service (name not resolved,
    connection refused, certificate not trusted), so that repeating it cannot do anything twice.
    """

    def __init__(self, text: str, *, was_sent: bool, is_retryable: bool = True) -> None:
        super().__init__(text)
        self.was_sent = was_sent
        self.is_retryable = is_retryable


class CITimeoutError(CIConnectionError):
    """No answer, or no connection, within the timeout."""


class CredentialsError(CIConnectionError):
    """There is no key to sign with, so nothing was sent: its source cannot be reached, or gives none."""

    def __init__(self, text: str, *, is_retryable: bool) -> None:
        super().__init__(text, was_sent=False, is_retryable=is_retryable)


class SubmissionUnknownError(CIError):
    """A job was sent and no usable answer came: the service may or may not have taken it.

    Sending it again could make a second job. Look for it first: list the jobs created since, and
    compare ``input_key`` and ``output_key``.
    """

    def __init__(self, *, input_key: str, output_key: str, reason: str) -> None:
        super().__init__(
            f"whether the job for {input_key!r} -> {output_key!r} was taken is unknown: {reason} "
            "Before submitting it again, list the jobs created since and look for this input and output."
        )
        self.input_key = input_key
        self.output_key = output_key
        self.reason = reason


class RequestExpiredError(CIError):
    """A request was not taken: ``expires_at`` had passed before the service could take it."""


class CIServiceError(CIError):
    """The service refused a request.

    ``status`` is the HTTP status, ``code`` and ``message`` are the service's own words (the code is derived
    from the status where the answer had none), ``resource`` and ``request_id`` are empty where not given.
    ``retry_after`` is the number of seconds that the service asked to wait, ``server_time`` its clock in Unix
    seconds; both are None where it did not say. ``is_certain`` says that the service certainly did nothing.
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
        # A body that ended early may have held the code that says so.
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
    """The key may not do this here."""

    advice = "Check the key's policy for this action and bucket, and that the bucket is bound to CI."


class ClockSkewError(CIServiceError):
    """The request's time window lies outside the service's time, and the service's Date did not help."""

    advice = "Set this machine's clock; the service allows 15 minutes of difference."


class NotFoundError(CIServiceError):
    """There is no such bucket, object, job, queue or template."""

    advice = "Check the name and the region."


class InvalidRequestError(CIServiceError):
    """The service understood the request and finds it wrong."""


class ObjectExistsError(InvalidRequestError):
    """The object is there already, and the request was not to replace it."""


class ThrottledError(CIServiceError):
    """Too many requests, or a queue that is full. It passes."""

    advice = "Send less at a time (requests_per_second), or wait for jobs to finish."


class QueuePausedError(CIServiceError):
    """The queue is paused and takes no jobs."""

    advice = "Resume the queue, or name another one."


class ServerError(CIServiceError):
    """The service failed."""

    advice = "It is the service's fault; if it stays, report the request id to its support."


class CIResponseError(CIError):
    """The service answered, and the answer is not what its API page says.

    ``is_retryable`` where the answer looks damaged in transit (cut off, not XML).
    """

    def __init__(self, text: str, *, request_id: str = "", is_damaged: bool = False) -> None:
        super().__init__(f"{text} (request id {request_id or 'none'})")
        self.text = text
        self.request_id = request_id
        self.is_retryable = is_damaged

    def to(self, asked: str) -> CIResponseError:
        """The same error, saying what was asked."""
        return CIResponseError(
            f"{asked}: {self.text}", request_id=self.request_id, is_damaged=self.is_retryable
        )


class JobError(CIError):
    """A job ended without success; ``job`` is its last known form."""

    verb = "ended badly"

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
"""What to do next, where the code says it better than the class of the error."""


def _rebuild(cls: type[E], args: tuple[object, ...], state: dict[str, object]) -> E:
    error = cls.__new__(cls, *args)
    vars(error).update(state)
    return error
