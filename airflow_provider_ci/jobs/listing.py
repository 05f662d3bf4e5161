"""Tracks on which page of its queue's listing each pending job is, and which jobs have ended.

The listing shows jobs of all states in the order of creation, so a job stays on its page when its state
changes. A queue runs its jobs in the same order. So only jobs on pages up to the *front* can have ended; the
front is the first page on which jobs still wait. A poll reads only those pages up to the front that have
pending jobs. Tokens are opaque: a page is read again by its token and its filter. If the service rejects a
token, the listing is read from the start.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TypeVar

from airflow_provider_ci.client import (
    CIClient,
    InvalidRequestError,
    Job,
    JobPage,
    JobState,
    NotFoundError,
)
from airflow_provider_ci.jobs.kinds import JobType

log = logging.getLogger(__name__)

T = TypeVar("T")

_STEP = timedelta(seconds=1)
"""Resolution of times. It is not documented whether a filter includes its first second."""
_NEAR = timedelta(seconds=5)
"""A job that was created this soon after a page's last job is expected on the next page.

For a later job, the listing is read with a new time filter.
"""
_DISORDER = timedelta(seconds=2)
"""Tolerance for creation times that are out of order in the listing."""
_WAITING = (JobState.SUBMITTED, JobState.PAUSE)
_SCOUT_EVERY = 4
"""While no job ends, one poll in this many reads a page behind the front instead of the front."""
_MOST_EMPTY = 10
"""After more empty pages in a row than this, a listing counts as ended, even if it has a next token."""
_BEHIND = 5
"""If this many jobs are missing from the pages already read, the listing is read from the start."""


@dataclass(slots=True, eq=False)
class _Page:
    """A page that was read: its filter and token to read it again, and the state of its jobs."""

    created_after: datetime
    token: str | None
    next_token: str | None = None
    empty_pages: int = 0
    """Number of consecutive pages without jobs, including this one."""
    newest: datetime | None = None
    """Creation time of the last job on the page; a page without jobs takes it from the previous page."""
    is_waiting: bool = False
    """Whether the last job on the page waits; then jobs on later pages wait as well."""
    pending: set[str] = field(default_factory=set)
    """Our jobs on the page that had not ended when the page was read."""


_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


class QueueListing:
    """The listing of one queue, read up to the first page on which jobs wait.

    :param queue_id: the queue; None lists the jobs of all queues.
    """

    def __init__(self, client: CIClient, job_type: JobType, queue_id: str | None) -> None:
        self._client = client
        self._type = job_type
        self._queue_id = queue_id
        self._idle_polls = 0
        self._scouted = 0
        self._behind: set[str] = set()
        self._never_listed: set[str] = set()
        # State of one poll:
        self._wanted: Mapping[str, datetime | None] = {}
        self._unplaced: dict[str, datetime | None] = {}
        self._vanished: set[str] = set()
        self._found: dict[str, Job] = {}
        self._read_now: set[_Page] = set()
        self._left = 0
        self._is_at_end = False
        self._restart()

    def look(self, wanted: Mapping[str, datetime | None], *, most_pages: int) -> dict[str, Job]:
        """Return the jobs that have ended, by job id.

        :param wanted: for each job id, the time when the service created the job, or None if unknown.
        :param most_pages: maximum number of pages to read.
        """
        self._wanted, self._left, self._is_at_end = wanted, most_pages, False
        self._found, self._vanished, self._read_now = {}, set(), set()
        self._keep(wanted)
        try:
            self._read_to_front()
        except _TokenRefusedError as error:
            log.info("the service rejected a page of the listing, reading it from the start: %s", error)
            self._restart()
            try:
                self._read_to_front()
            except _TokenRefusedError:
                self._is_at_end = True  # the listing cannot be read beyond its first page
        self._idle_polls = 0 if self._found else self._idle_polls + 1
        return self._found

    def unlisted(self) -> list[str]:
        """Return the jobs that should be on the pages of the last poll but are not, oldest first."""
        newest = self._pages[-1].newest if self._pages else None
        # If the maximum number of pages was read, the other jobs are read by their ids, some in each poll.
        is_whole = self._is_at_end or self._left <= 0
        missed = [
            job_id
            for job_id, created in self._unplaced.items()
            if is_whole
            or created is None
            or job_id in self._vanished
            or (newest is not None and created < newest - _DISORDER)
        ]
        return sorted(missed, key=lambda job_id: self._unplaced[job_id] or _LONG_AGO)

    def page_of(self, job_id: str) -> object:
        """Return an object that identifies the page of a job; None if the page is unknown."""
        return self._places.get(job_id)

    def note_behind(self, job_id: str) -> None:
        """Note that an unlisted job is in this queue and has not ended."""
        if job_id in self._never_listed:
            return
        self._behind.add(job_id)
        if len(self._behind) >= _BEHIND:
            # Restart only once for each job: a second restart would not show it either.
            self._never_listed |= self._behind
            self._behind = set()
            self._restart()

    def _restart(self) -> None:
        self._pages: list[_Page] = []
        self._places: dict[str, _Page] = {}
        self._tokens: set[str] = set()
        self._unplaced = {job: at for job, at in self._wanted.items() if job not in self._found}

    def _keep(self, wanted: Mapping[str, datetime | None]) -> None:
        """Forget all jobs that are not wanted, and the pages without pending jobs."""
        for job_id in self._places.keys() - wanted.keys():
            self._places.pop(job_id).pending.discard(job_id)
        # The last page stays, because it leads to the pages of jobs that are submitted later.
        self._pages = [page for page in self._pages if page.pending or page is self._pages[-1]]
        self._unplaced = {job: at for job, at in wanted.items() if job not in self._places}
        self._behind &= wanted.keys()
        self._never_listed &= wanted.keys()

    # The steps of one poll

    def _read_to_front(self) -> None:
        """Read the known pages with pending jobs, then new pages, up to the front."""
        if self._idle_polls % _SCOUT_EVERY == _SCOUT_EVERY - 1 and self._scout():
            return
        for page in list(self._pages):
            is_last = page is self._pages[-1]
            # New jobs may have been added to the last page since it was read.
            if (page.pending or (is_last and page.is_waiting and self._unplaced)) and self._left > 0:
                self._read_again(page)
            if page.is_waiting:
                return
        while self._unplaced and self._left > 0:
            new = self._read_next()
            self._is_at_end = new is None
            if new is None or new.is_waiting:
                return

    def _scout(self) -> bool:
        """Read a page behind the front, because jobs of a higher level run earlier; False if none is left."""
        front = next((number for number, page in enumerate(self._pages) if page.is_waiting), None)
        if front is None:
            return False
        beyond = [page for page in self._pages[front + 1 :] if page.pending]
        number, self._scouted = self._scouted, self._scouted + 1
        if number < len(beyond):
            self._read_again(beyond[number])
            return True
        if self._unplaced and self._read_next() is not None:
            return True
        self._scouted = 0
        return False

    def _read_again(self, page: _Page) -> None:
        # The last page is read as a whole, because new jobs appear there.
        if len(page.pending) == 1 and not page.is_waiting and page is not self._pages[-1]:
            return self._read_by_id(*page.pending)
        if page in self._read_now:
            return None
        before = page.pending.copy()
        self._note(page, self._fetch(page.created_after, page.token))
        # Jobs move to other pages when the service deletes old jobs. A job that left its page is read by id.
        for job_id in before - page.pending - self._found.keys():
            self._lose(job_id)
        return None

    def _read_by_id(self, job_id: str) -> None:
        """Read the only pending job of a page by its id, which is cheaper for the service than the page."""
        self._left -= 1
        try:
            job = self._type.get(self._client, job_id)
        except NotFoundError:
            return self._lose(job_id)
        if job.state.is_final:
            self._end(job)
        return None

    def _lose(self, job_id: str) -> None:
        self._places.pop(job_id).pending.discard(job_id)
        self._vanished.add(job_id)
        self._unplaced[job_id] = self._wanted[job_id]

    def _read_next(self) -> _Page | None:
        """Read the page where the next unplaced jobs are expected; None if no page is left."""
        last = self._pages[-1] if self._pages else None
        created = [moment for moment in self._unplaced.values() if moment is not None]
        near = last and last.newest and [at for at in created if abs(at - last.newest) <= _NEAR]
        if last and last.next_token and (near or last.newest is None):
            return self._append(last.created_after, last.next_token, last.newest)
        if last and near and last not in self._read_now:
            self._read_again(last)
            return last
        ahead = [at for at in created if last is None or last.newest is None or at > last.newest + _STEP]
        if not ahead:
            return None
        created_after = min(ahead) - _STEP
        # With the same filter as before, read the next page of that listing and not its first page.
        if last and last.created_after == created_after:
            if last.next_token:
                return self._append(created_after, last.next_token, last.newest)
            if last in self._read_now:
                return None
            self._read_again(last)
            return last
        # A new filter starts a new listing. The same token there is not a repeated page.
        self._tokens.clear()
        return self._append(created_after, None, last.newest if last else None)

    def _append(self, created_after: datetime, token: str | None, newest: datetime | None) -> _Page:
        empty_pages = self._pages[-1].empty_pages if token else 0
        page = _Page(created_after, token, newest=newest, empty_pages=empty_pages)
        response = self._fetch(created_after, token)
        self._pages.append(page)
        self._note(page, response)
        return page

    def _fetch(self, created_after: datetime, token: str | None) -> JobPage:
        self._left -= 1
        try:
            return self._type.list_page(
                self._client,
                queue_id=self._queue_id,
                created_after=created_after,
                order="Asc",
                next_token=token,
            )
        except (InvalidRequestError, NotFoundError) as error:
            if token is None:
                raise
            raise _TokenRefusedError(str(error)) from error

    def _note(self, page: _Page, response: JobPage) -> None:
        """Update a page from its response."""
        self._read_now.add(page)
        page.empty_pages = 0 if response.jobs else page.empty_pages + 1
        page.next_token = self._unless_repeated(page, response.next_token)
        page.pending = set()
        for job in response.jobs:
            self._note_job(page, job)
        page.newest = _last(
            [job.created_at for job in response.jobs if job.created_at is not None], page.newest
        )
        ends = [job.state for job in response.jobs if job.state in _WAITING or _has_begun(job)]
        page.is_waiting = bool(ends) and ends[-1] in _WAITING

    def _note_job(self, page: _Page, job: Job) -> None:
        place = self._places.get(job.job_id)
        if job.job_id not in self._unplaced and place is None:
            return
        if job.state.is_final:
            self._end(job)
        else:
            if place is not None and place is not page:
                place.pending.discard(job.job_id)
            self._places[job.job_id] = page
            self._unplaced.pop(job.job_id, None)
            page.pending.add(job.job_id)

    def _end(self, job: Job) -> None:
        self._found[job.job_id] = job
        self._unplaced.pop(job.job_id, None)
        if place := self._places.pop(job.job_id, None):
            place.pending.discard(job.job_id)

    def _unless_repeated(self, page: _Page, token: str | None) -> str | None:
        """Return the token of the next page; None if the token leads back to a page that was already read."""
        # A page that is read again may have the same next page as before.
        if not token or token == page.next_token:
            return token or None
        if token in self._tokens or token == page.token:
            log.warning("the listing of jobs repeats page %r; stopping there", token)
            return None
        if page.empty_pages > _MOST_EMPTY:
            log.warning("the listing of jobs has too many empty pages; stopping there")
            return None
        self._tokens.add(token)
        return token


class _TokenRefusedError(Exception):
    """The service no longer accepts a page's token."""


def _has_begun(job: Job) -> bool:
    """Whether the job is running or has run. A cancelled job may never have run."""
    return job.state in (JobState.RUNNING, JobState.SUCCESS, JobState.FAILED)


def _last(values: list[T], default: T | None) -> T | None:
    return values[-1] if values else default
