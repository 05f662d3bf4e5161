"""Finds out which of many pending jobs have ended, with few requests."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from datetime import datetime

from airflow_provider_ci.client import CIClient, InvalidRequestError, Job, NotFoundError
from airflow_provider_ci.jobs.kinds import JobType, default_queue_id
from airflow_provider_ci.jobs.listing import QueueListing
from airflow_provider_ci.jobs.service_time import service_now

log = logging.getLogger(__name__)

FEW = 3
"""Up to this many jobs are read one by one, because pages of a listing may be full of other users' jobs."""
UNKNOWN_SECONDS = 60.0
"""A job that the service does not know counts as forgotten once it is this many seconds old."""
_UNLISTED_SECONDS = 10.0
"""A job younger than this many seconds may be missing from the listing, and is not yet read by its id."""
_NO_SUCH_JOB = "NonExistJobIds"


class JobsInFlight:
    """Polls which of many jobs have ended.

    A listing in the order of creation covers a hundred jobs per page; see
    :mod:`airflow_provider_ci.jobs.listing`. Jobs that it does not show are read by their ids. Jobs of other
    users have no effect on the result.

    :param queue_id: the queue that the jobs were submitted to; the default queue if not given. Jobs of other
        queues are found too, but with more requests.
    :param unknown_seconds: how long a job may be unknown to the service, counted from its submission or from
        the first poll that asked for the job.
    """

    def __init__(
        self,
        client: CIClient,
        job_type: JobType,
        queue_id: str | None = None,
        *,
        unknown_seconds: float = UNKNOWN_SECONDS,
    ) -> None:
        self._client = client
        self._type = job_type
        self._queue_id = queue_id
        self._knows_queue = queue_id is not None
        self._unknown_seconds = unknown_seconds
        self._listings: dict[str | None, QueueListing] = {}
        self._created: dict[str, datetime] = {}
        self._queue_of: dict[str, str] = {}
        self._first_seen: dict[str, float] = {}
        self._is_met: set[str] = set()
        self._read_at: dict[str, int] = {}
        self._polls = 0
        self._found: dict[str, Job] = {}
        self.unknown: dict[str, NotFoundError] = {}
        """The jobs that the service did not know in the last poll, with the service's error for each."""
        self.forgotten: dict[str, NotFoundError] = {}
        """The jobs in ``unknown`` that were submitted too long ago to be still unknown."""

    def ended(self, pending: Mapping[str, datetime | None]) -> list[Job]:
        """Return the jobs that have ended; afterwards :attr:`forgotten` names the jobs that no longer exist.

        :param pending: for each job id, the time when the service created the job, or None if unknown.
        :raises CIError: the service is unavailable, or refuses to show jobs.
        """
        self._polls += 1
        self._found, self.unknown, self.forgotten = {}, {}, {}
        self._keep(pending)
        if not self._type.is_listed:
            self._read_some(pending)
        elif len(pending) <= FEW and not self._are_together(pending):
            self._read_by_id(pending)
        else:
            self._meet([job_id for job_id in pending if job_id not in self._created])
            self._read_listings()
        return list(self._found.values())

    def _are_together(self, pending: Mapping[str, datetime | None]) -> bool:
        """Whether the pages of all jobs are known, and there are fewer pages than jobs."""
        pages = [listing.page_of(job_id) for listing in self._listings.values() for job_id in pending]
        known = [page for page in pages if page is not None]
        return len(known) == len(pending) > len({id(page) for page in known})

    def _keep(self, pending: Mapping[str, datetime | None]) -> None:
        """Add new jobs, and forget jobs that have left ``pending``."""
        now = time.monotonic()
        self._first_seen = {job_id: self._first_seen.get(job_id, now) for job_id in pending}
        known = {job_id: at for job_id, at in pending.items() if at is not None}
        self._created = {job: at for job, at in self._created.items() if job in pending} | known
        self._queue_of = {job: queue for job, queue in self._queue_of.items() if job in pending}
        self._read_at = {job: poll for job, poll in self._read_at.items() if job in pending}
        self._is_met &= pending.keys()

    @property
    def _most_by_id(self) -> int:
        """Maximum number of jobs that one poll reads by their ids."""
        # This keeps a poll far below one request per job. Later polls read the other jobs in turn.
        return 10 + len(self._first_seen) // 10

    # Jobs with a known id and an unknown creation time

    def _meet(self, job_ids: list[str]) -> None:
        """Read the creation times of these jobs from the listing, newest first, then one by one."""
        # The listing is searched only once for each job. If it does not show the job, the job is read by id.
        new = {job_id for job_id in job_ids if job_id not in self._is_met}
        if len(new) > FEW:
            self._meet_newest(set(new))
        self._is_met |= new
        left = [job for job in job_ids if job not in self._created and job not in self._found]
        # The job that was not read for the longest time comes first, so every job gets its turn.
        left.sort(key=lambda job_id: self._read_at.get(job_id, 0))
        self._read_by_id(left[: max(self._most_by_id, len(new))])

    def _meet_newest(self, missing: set[str]) -> None:
        """Read the listing until all jobs are found, or until reading the rest by id probably costs less."""
        most_misses = max(2, len(missing) // 10)
        misses, token, tokens = 0, None, set[str]()
        queue_id = self._queue_id or default_queue_id(self._client, self._type)
        while missing and misses < most_misses:
            try:
                page = self._type.list_page(self._client, queue_id=queue_id, order="Desc", next_token=token)
            # Some pages of the documentation require ``queueId`` (1045/47934), which may be unknown here.
            except (InvalidRequestError, NotFoundError) as error:
                log.info("cannot list the jobs, reading each by its id: %s", error)
                return
            known = [job for job in page.jobs if job.job_id in missing]
            for job in known:
                missing.discard(job.job_id)
                self._learn(job)
            misses = 0 if known else misses + 1
            token = page.next_token
            if not token or token in tokens:
                return
            tokens.add(token)

    # Jobs that are read from the listing

    def _read_listings(self) -> None:
        if not self._knows_queue:
            self._learn_queue()
        # A page has up to 100 jobs. The limit takes effect if a queue is full of other users' jobs.
        most_pages = min(len(self._first_seen), 4 + len(self._first_seen) // 40)
        unlisted: list[tuple[str, QueueListing]] = []
        for queue_id, wanted in self._by_queue().items():
            listing = self._listings.get(queue_id) or QueueListing(self._client, self._type, queue_id)
            self._listings[queue_id] = listing
            self._found |= listing.look(wanted, most_pages=most_pages)
            unlisted += [(job_id, listing) for job_id in listing.unlisted() if not self._is_fresh(job_id)]
        self._read_unlisted(unlisted)

    def _by_queue(self) -> dict[str | None, dict[str, datetime | None]]:
        """Group the pending jobs by the queue in which to search for them."""
        jobs: dict[str | None, dict[str, datetime | None]] = {}
        for job_id, created in self._created.items():
            if job_id not in self._found:
                jobs.setdefault(self._queue_of.get(job_id, self._queue_id), {})[job_id] = created
        return jobs

    def _learn_queue(self) -> None:
        """Find the queue of jobs submitted without one: the bucket's only queue, or the queue of any job."""
        self._queue_id = default_queue_id(self._client, self._type)
        if self._queue_id is None and (job_id := next(iter(self._created), None)):
            self._read_by_id([job_id])
            self._queue_id = self._queue_of.get(job_id)
        self._knows_queue = self._queue_id is not None

    def _read_unlisted(self, unlisted: list[tuple[str, QueueListing]]) -> None:
        """Read by id the jobs that their queue's listing lacks: they are in another queue, or forgotten."""
        unlisted.sort(key=lambda each: self._read_at.get(each[0], 0))
        now, later = unlisted[: self._most_by_id], unlisted[self._most_by_id :]
        for job_id, listing in now:
            known = self._queue_of.get(job_id, self._queue_id)
            self._read_by_id([job_id])
            queue_id = self._queue_of.get(job_id, known)
            if queue_id == known:
                listing.note_behind(job_id)
                continue
            for other, _ in later:  # they are probably in the same queue
                if other not in self._read_at and queue_id is not None:
                    self._queue_of.setdefault(other, queue_id)

    def _is_fresh(self, job_id: str) -> bool:
        return self._age(job_id) < _UNLISTED_SECONDS

    def _age(self, job_id: str) -> float:
        """Return the seconds since the creation of the job, or since its first poll, whichever is longer."""
        seen = time.monotonic() - self._first_seen[job_id]
        created = self._created.get(job_id)
        return seen if created is None else max(seen, service_now(self._client) - created.timestamp())

    # Reading jobs one by one

    def _read_some(self, job_ids: Iterable[str]) -> None:
        """Read some jobs of a type without a listing by their ids; every job gets its turn in some poll."""
        turns = sorted(job_ids, key=lambda job_id: self._read_at.get(job_id, 0))
        self._read_by_id(turns[: self._most_by_id])

    def _read_by_id(self, job_ids: Iterable[str]) -> None:
        for job_id in job_ids:
            self._read_at[job_id] = self._polls
            try:
                self._learn(self._type.get(self._client, job_id))
            except NotFoundError as error:
                # Any other 404, such as NoSuchBucket, concerns all jobs.
                if error.code != _NO_SUCH_JOB:
                    raise
                self.unknown[job_id] = error
                if self._age(job_id) >= self._unknown_seconds:
                    self.forgotten[job_id] = error

    def _learn(self, job: Job) -> None:
        if job.state.is_final:
            self._found[job.job_id] = job
        if job.created_at is not None:
            self._created[job.job_id] = job.created_at
        if job.queue_id:
            self._queue_of[job.job_id] = job.queue_id
