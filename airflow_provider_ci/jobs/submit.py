"""Submitting one job so that at most one comes of it, whatever happens to requests and responses."""

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
_SKEW_SECONDS = 5.0
"""After a signature has expired: for the two clocks to agree, and for the listing to show the job."""
_OUTAGE_SECONDS = 600.0
_SLACK = timedelta(seconds=5)
"""How far the moment before a submission and the creation of its job may be out of order."""
_LOOK_BACK = timedelta(minutes=1)
"""The listing is read from so long before the submission on."""
_DEAD = (JobState.FAILED, JobState.CANCEL)
_STOP_CHECK_SECONDS = 0.5
_LOG_SECONDS = 15.0


def _go_on() -> None:
    """Nobody stops the wait."""


def _unnoted(expires_at: float) -> None:
    """Nobody notes the submission."""


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One job to submit.

    :param output_key: may hold ``${Number}``, ``${Page}`` and ``${SheetID}``.
    :param queue_id: the default queue if not given.
    :param job_level: 0, 1 or 2; a higher one goes first.
    :param callback: where to send the end of the job, in place of the queue's callback.
    :param output_bucket: this bucket if not given; likewise ``output_region``.
    :param user_data: comes back with the job. Without it, the job carries the token of its submission there.
    """

    input_key: str
    output_key: str
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

    If the response is lost, look for the job in the listing. Submit again only when the signature of the lost
    request has expired and one more look shows no job: the service can then never accept the lost request.

    :param token: names this submission; the same for every try at it, and different from all others.
    :param valid_seconds: how long the service may accept a request, at least 1.
    :param before_sending: called before each request with the Unix time at which its signature expires, for
        :func:`find_submitted` in a later process.
    :param raise_if_stopped: called twice a second while waiting; what it raises ends the wait.
    :raises CIError: the service refused the job.
    :raises SubmissionUnknownError: responses were lost again and again.
    """
    if valid_seconds < 1:
        raise ValueError(f"valid_seconds must be at least 1, not {valid_seconds!r}")
    search = _Search(client, request, token)
    attempt = 0
    while True:
        attempt += 1
        expires_at = math.floor(service_now(client) + valid_seconds)
        before_sending(expires_at)
        try:
            return _submit(client, request, token, expires_at)
        except RequestExpiredError as error:
            if attempt == _ATTEMPTS:
                raise
            log.warning("%s; submitting again", error)
        except SubmissionUnknownError as error:
            log.warning("%s; looking for the job", error)
            if job := search.until(expires_at, raise_if_stopped):
                return job
            if attempt == _ATTEMPTS:
                raise
            log.warning("the service did not accept the job of %r; submitting again", request.input_key)


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
    """The job of a :func:`submit_once` in a process that has died; None once there can never be one.

    :param token: of that submission.
    :param since: a moment before that submission, by the service's clock.
    :param expires_at: when its last request expires, as told to ``before_sending``; if not given, it counts
        as sent this moment.
    """
    search = _Search(client, request, token, since=since)
    until = service_now(client) + valid_seconds if expires_at is None else expires_at
    return search.until(until, raise_if_stopped)


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
    """Looks for the job of a request whose response is lost."""

    def __init__(
        self, client: CIClient, request: JobRequest, token: str, *, since: datetime | None = None
    ) -> None:
        self._client = client
        self._request = request
        self._token = token
        self._began = time.monotonic()
        self._since = since

    def until(self, expires_at: float, raise_if_stopped: Callable[[], object]) -> Job | None:
        """Look until the job shows, or a look after the end of the signature shows none."""
        end = expires_at + _SKEW_SECONDS
        wait, logged_at = 1.0, time.monotonic()
        while True:
            looked_at = service_now(self._client)
            try:
                job = self.look()
            except CIError as error:
                if not error.is_retryable or looked_at > end + _OUTAGE_SECONDS:
                    raise
                log.warning("cannot look for the job of %r for now: %s", self._request.input_key, error)
            else:
                if job is not None or looked_at > end:
                    return job
            if time.monotonic() - logged_at >= _LOG_SECONDS:
                logged_at = time.monotonic()
                left = max(end - looked_at, 0.0)
                log.info("no job of %r yet; looking for %.0f s more", self._request.input_key, left)
            _sleep(wait, raise_if_stopped)
            wait = min(wait * 1.5, 5.0)

    def look(self) -> Job | None:
        """The job, if the listing shows it; of several, one that has not ended badly."""
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
        """The queues in which the job can be: that of the request, or else every one of its type."""
        if self._request.queue_id:
            return [self._request.queue_id]
        return all_queue_ids(self._client, self._request.job_type) or [None]

    def _before_submission(self) -> datetime:
        """The moment before the first submission, by the service's clock.

        It comes from a response: until there is one, nothing is known of that clock.
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
        if says and not request.user_data:
            return True
        return (
            matches_keys(job, request.input_key, request.output_key)
            and matches_operation(job, request.operation)
            and _is_young_enough(job, since)
        )


def _is_young_enough(job: Job, since: datetime) -> bool:
    """Whether this can be the job of our request, and not of an earlier one that asked for the same.

    A job that has ended badly counts as an earlier one, unless it is clearly younger than the submission.
    """
    if job.created_at is None:
        return False
    return job.created_at >= (since if job.state in _DEAD else since - _SLACK)


def _is_of_older_version(job: Job, token: str) -> bool:
    """Whether version 1 of this package has submitted the job with this token."""
    return job.user_data.startswith(f"{token}-0-")


def _sleep(seconds: float, raise_if_stopped: Callable[[], object]) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        raise_if_stopped()
        time.sleep(min(left, _STOP_CHECK_SECONDS))
    raise_if_stopped()
