"""Submits one job exactly once or not at all, even if requests or responses are lost."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta, timezone

from airflow_provider_ci.client import (
    Callback,
    CIClient,
    CIError,
    CIServiceError,
    Job,
    JobState,
    RequestExpiredError,
    SubmissionUnknownError,
)
from airflow_provider_ci.jobs.kinds import JobType, Operation, all_queue_ids, type_of_operation
from airflow_provider_ci.jobs.matching import matches_keys, matches_operation, user_data_matches
from airflow_provider_ci.jobs.service_time import service_now

log = logging.getLogger(__name__)

_ATTEMPTS = 3
EXPIRY_SLACK_SECONDS = 5.0
"""Seconds after a signature's expiry until the listing shows every job that was submitted with it.

The service compares whole seconds, accepts a request in the last second, and may list a new job some seconds
later.
"""
_OUTAGE_SECONDS = 600.0
_SLACK = timedelta(seconds=5)
"""Tolerance for a job's creation time that is earlier than the time noted before its submission."""
_LOOK_BACK = timedelta(minutes=1)
"""A search reads the listing from jobs that were created this long before the submission."""
_DEAD = (JobState.FAILED, JobState.CANCEL)
# Airflow kills a task five seconds after its on_kill (measured with 3.3.2), so waits check often for a stop.
_STOP_CHECK_SECONDS = 0.5
_LOG_SECONDS = 15.0


class UnlistedSubmissionError(SubmissionUnknownError):
    """The response to a submission was lost, and the service has no listing that could show its job.

    The job was not submitted again.
    """

    def __init__(self, *, tag: str, input_key: str, output_key: str, reason: str) -> None:
        super().__init__(input_key=input_key, output_key=output_key, reason=reason)
        self.tag = tag
        self.args = (
            f"unconfirmed submission of the {tag} job for {input_key!r}: {reason} The service has no listing "
            "of these jobs, so nothing can tell whether the job exists, and it was not submitted again. "
            "Submit it again if a second job does no harm. File jobs with path='/jobs' are listed and found.",
        )


def _go_on() -> None:
    """Default of ``raise_if_stopped``: the wait is never stopped."""


def _unnoted(expires_at: float) -> None:
    """Default of ``before_sending``: the submission is not recorded."""


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One job to submit.

    :param input_key: None if the operation names its inputs.
    :param output_key: may contain ``${Number}``, ``${Page}`` and ``${SheetID}``. None if the operation writes
        no object, or chooses the names of its objects.
    :param queue_id: the default queue if not given.
    :param job_level: priority 0, 1 or 2; a higher level runs first.
    :param callback: where to report the end of the job, in place of the queue's callback.
    :param output_bucket: the client's bucket if not given; likewise ``output_region``.
    :param user_data: a text that the service echoes with the job; the token of the submission by default.
    """

    input_key: str | None
    output_key: str | None
    operation: Operation
    _: KW_ONLY
    queue_id: str | None = None
    job_level: int | None = None
    callback: Callback | None = None
    output_bucket: str | None = None
    output_region: str | None = None
    user_data: str = ""

    @property
    def job_type(self) -> JobType:
        """The type of the job."""
        return type_of_operation(self.operation)


def submit_once(
    client: CIClient,
    request: JobRequest,
    *,
    token: str,
    valid_seconds: float = 60.0,
    before_sending: Callable[[float], object] = _unnoted,
    raise_if_stopped: Callable[[], object] = _go_on,
) -> Job:
    """Submit one job.

    If the response is lost, the listing is searched for the job. The job is submitted again only after the
    signature of the lost request has expired and one more search has found no job. By then, the service can
    no longer accept the lost request.

    :param token: identifies this submission in all its attempts.
    :param valid_seconds: how long the service may accept a request; 1 second or more.
    :param before_sending: called before each request with the Unix time at which its signature expires, for
        :func:`find_submitted` in a later process. Called with 0 after the service has refused the job: then
        no request is under way, and a later search need not wait.
    :param raise_if_stopped: called twice a second while waiting; any exception from it ends the wait.
    :raises CIError: the service rejected the job.
    :raises SubmissionUnknownError: the responses to all attempts were lost.
    :raises UnlistedSubmissionError: a response was lost, and jobs of this type are not listed.
    """
    if valid_seconds < 1:
        raise ValueError(f"valid_seconds must be at least 1, not {valid_seconds!r}")
    search = _Search(client, request, token)
    attempt = 0
    while True:
        attempt += 1
        # A signature has whole seconds, and the noted time must be exactly the time of its expiry.
        expires_at = math.floor(service_now(client) + valid_seconds)
        # The time is noted before the request, so that it is known even if this process dies while sending.
        before_sending(expires_at)
        try:
            return _submit(client, request, token, expires_at)
        # The service certainly refused the request, so no search is needed.
        except RequestExpiredError as error:
            if attempt == _ATTEMPTS:
                before_sending(0)
                raise
            log.warning("%s; submitting again", error)
        except SubmissionUnknownError as error:
            if not request.job_type.is_listed:
                raise _unlisted(request, error.reason) from error
            log.warning("%s; searching the listing for the job", error)
            if job := search.until(expires_at, raise_if_stopped):
                return job
            if attempt == _ATTEMPTS:
                raise
            log.warning("the service did not accept the job of %r; submitting again", request.input_key)
        except CIError:
            before_sending(0)
            raise


def find_submitted(
    client: CIClient,
    request: JobRequest,
    *,
    token: str,
    since: datetime,
    expires_at: float | None = None,
    valid_seconds: float = 60.0,
    raise_if_stopped: Callable[[], object] = _go_on,
) -> Job | None:
    """Find the job of a :func:`submit_once` that ran in a process that has died.

    None is returned only when the service can no longer create the job.

    :param token: the token of that submission.
    :param since: a time before that submission, by the service's clock.
    :param expires_at: when the last request of that submission expires, as passed to ``before_sending``; by
        default ``valid_seconds`` from now.
    :raises UnlistedSubmissionError: jobs of this type are not listed.
    """
    if not request.job_type.is_listed:
        raise _unlisted(request, "the process that submitted it has died.")
    search = _Search(client, request, token, since=since)
    until = service_now(client) + valid_seconds if expires_at is None else expires_at
    return search.until(until, raise_if_stopped)


def _unlisted(request: JobRequest, reason: str) -> UnlistedSubmissionError:
    return UnlistedSubmissionError(
        tag=request.job_type.tag,
        input_key=request.input_key or "",
        output_key=request.output_key or "",
        reason=reason,
    )


def _submit(client: CIClient, request: JobRequest, token: str, expires_at: float) -> Job:
    return request.job_type.submit(
        client,
        request.input_key,
        request.output_key,
        request.operation,
        output_bucket=request.output_bucket,
        output_region=request.output_region,
        queue_id=request.queue_id,
        user_data=request.user_data or token,
        job_level=request.job_level,
        callback=request.callback,
        expires_at=expires_at,
    )


class _Search:
    """Searches for the job of a request whose response was lost."""

    def __init__(
        self, client: CIClient, request: JobRequest, token: str, *, since: datetime | None = None
    ) -> None:
        self._client = client
        self._request = request
        self._token = token
        self._began = time.monotonic()
        self._since = since

    def until(self, expires_at: float, raise_if_stopped: Callable[[], object]) -> Job | None:
        """Search until the job is found, or a search after the signature's expiry finds none."""
        end = expires_at + EXPIRY_SLACK_SECONDS
        wait, logged_at = 1.0, time.monotonic()
        while True:
            # This time is taken before the search, because only a search that began after ``end`` proves that
            # no job exists.
            looked_at = service_now(self._client)
            try:
                job = self.look()
            except CIError as error:
                if not error.is_retryable or looked_at > end + _OUTAGE_SECONDS:
                    raise
                log.warning(
                    "cannot search for the job of %r, trying again: %s", self._request.input_key, error
                )
            else:
                if job is not None or looked_at > end:
                    return job
            if time.monotonic() - logged_at >= _LOG_SECONDS:
                logged_at = time.monotonic()
                left = max(end - looked_at, 0.0)
                log.info("no job of %r yet; searching for another %.0f s", self._request.input_key, left)
            _sleep(wait, raise_if_stopped)
            wait = min(wait * 1.5, 5.0)

    def look(self) -> Job | None:
        """Return the job if the listing shows it; prefer a job that has neither failed nor been cancelled."""
        dead = None
        self._since = since = self._since or self._before_submission()
        for queue_id in self._searched():
            listed = self._request.job_type.list(
                self._client, queue_id=queue_id, created_after=since - _LOOK_BACK, order="Desc"
            )
            for job in listed:
                if not self._is_ours(job, since):
                    continue
                if job.state not in _DEAD:
                    return job
                dead = dead or job
        return dead

    def _searched(self) -> Sequence[str | None]:
        """Return the queues to search: the request's queue, or all queues for its type of job."""
        if self._request.queue_id:
            return [self._request.queue_id]
        return all_queue_ids(self._client, self._request.job_type) or [None]

    def _before_submission(self) -> datetime:
        """Return the time before the first submission, by the service's clock.

        It comes from a response, because the service's clock is unknown before the first response.
        """
        try:
            now = self._client.server_time()
        except CIServiceError as error:
            if error.is_retryable:
                raise
            now = datetime.fromtimestamp(service_now(self._client), timezone.utc)
        return now - timedelta(seconds=time.monotonic() - self._began)

    def _is_ours(self, job: Job, since: datetime) -> bool:
        request = self._request
        says = user_data_matches(job, request.user_data or self._token)
        if says is False:
            return _is_of_older_version(job, self._token)
        # A token is unique. A user's own text may be the same for many jobs, so it is not sufficient.
        if says and not request.user_data:
            return True
        return (
            matches_keys(job, request.input_key or "", request.output_key or "")
            and matches_operation(job, request.operation)
            and _is_young_enough(job, since)
        )


def _is_young_enough(job: Job, since: datetime) -> bool:
    """Whether the job is young enough to belong to our request and not to an earlier identical request.

    A job that failed or was cancelled counts as the job of an earlier request, unless it was created at
    or after ``since``.
    """
    if job.created_at is None:
        return False
    return job.created_at >= (since if job.state in _DEAD else since - _SLACK)


def _is_of_older_version(job: Job, token: str) -> bool:
    """Whether version 1 of this package submitted the job with this token."""
    return job.user_data.startswith(f"{token}-0-")


def _sleep(seconds: float, raise_if_stopped: Callable[[], object]) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        raise_if_stopped()
        time.sleep(min(left, _STOP_CHECK_SECONDS))
    raise_if_stopped()
