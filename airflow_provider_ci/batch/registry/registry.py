"""The registry: one small versioned document for all batches of a bucket, changed by compare-and-swap.

Objects
    ``<root>00000001.json``, ``00000002.json``, … Each holds one state (see :mod:`.state`) and is never
    changed. The highest number counts. State n+1 is state n changed by one writer: its object is created
    with ``x-cos-forbid-overwrite``, so exactly one of the writers that start from state n creates n+1. The
    others read n+1, apply their change to it, and try n+2. This gives all changes of a bucket one order.

Reading
    A reader sends a LIST (one page, because a delimiter leaves out the index) and a GET of the highest
    number. A listing may be behind by seconds, so the reader then follows the numbers upwards until one is
    missing. A writer need not do this: if n+1 exists already, its PUT is refused. If an object has vanished
    since the listing, the next lower number is read.

Writing
    Each state has a random token. If the response of a PUT is lost and the repeated PUT is refused, the
    writer reads n+1, which holds the writer's own token if the first PUT arrived. A PUT is signed to expire
    120 seconds after its writer saw state n. So a writer that was suspended cannot create a number that
    has been in use and was cleaned up since.

Cleaning up
    The writer of a number divisible by 10 lists the states and deletes all but the last 20, except those
    written less than 15 minutes before the newest one. It deletes only states that the listing shows. So
    even a listing that is behind shows a state that still exists.

Buckets that do not protect objects
    A bucket that ever had versioning ignores ``x-cos-forbid-overwrite``: the last PUT of n+1 wins. There,

    - each PUT of n+1 is signed to expire C seconds (5) after its writer saw that n+1 was missing. So C
      seconds after the first PUT of n+1 no other PUT of n+1 can arrive. The service may accept a signature
      for S seconds (3) longer, because it compares whole seconds;
    - before a writer builds on a state, it waits until the state is C+S seconds old, by its Last-Modified;
    - after its PUT, a writer waits for C+S seconds and reads n+1 again. If n+1 holds the writer's token, the
      change is made. If not, the writer has lost and tries again with the next number.

    A test shows whether a bucket protects objects (see :mod:`.protection`). The state remembers the result
    for an hour (``protected_at``).

Deletion
    Any of the objects may be deleted at any time. A reader takes the highest number that exists. So if older
    states are deleted, nothing is lost, and if the newest ones are deleted, their changes are lost.

    A writer may know a state for up to 60 seconds before it lists the states again. In the minute after a
    deletion two more things can happen, and both end with that minute:

    - a writer builds on a deleted newest state, and the changes that others made since the deletion are lost;
    - a writer creates a deleted number once more although higher ones exist, and its own change is lost. This
      happens only to a second change by the same :class:`Registry`.

    A batch therefore makes its claim with a new :class:`Registry`, and checks in each later state that its
    claim is still there.
"""

from __future__ import annotations

import logging
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from airflow_provider_ci.batch.ledger.records import JSON
from airflow_provider_ci.batch.registry.protection import Protection
from airflow_provider_ci.batch.registry.service_time import expiry_now, service_now
from airflow_provider_ci.batch.registry.state import State, decode
from airflow_provider_ci.client import (
    CIClient,
    CIError,
    NotFoundError,
    ObjectExistsError,
    ObjectInfo,
    RequestExpiredError,
)

log = logging.getLogger(__name__)

REGISTRY_PREFIX = "_ci_batches.registry/"
"""Folder of the registry in a bucket. It does not depend on a batch's report prefix: all batches share one
registry."""

# See "Cleaning up" above: readers may still follow the newest states one by one.
KEPT_STATES = 20
KEPT_SECONDS = 900.0
_CLEANING_STEP = 10
_FIRST_WAIT_SECONDS = 0.05
_MAX_WAIT_SECONDS = 2.0
_STATE_NAME = re.compile(r"[0-9]{8}\.json")

Change = Callable[[State], State]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Durations in seconds. All writers of a bucket use the same durations; tests use shorter ones."""

    known: float = 60.0
    """A writer may build on a state for this time before it lists the states again."""
    writing: float = 120.0
    """A PUT is refused if it arrives later than this after its writer saw the previous state."""
    creating: float = 5.0
    """Replaces ``writing`` in a bucket that does not protect objects."""
    skew: float = 3.0
    """How long the service may accept a signature after the signature has expired."""
    protected: float = 3600.0
    """How long a state remembers that the bucket protects objects."""


class RegistryBusyError(CIError):
    """The registry could not be changed in time; a later attempt can succeed."""

    is_retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A state, and when it was the newest one. Times are on the scale of ``expires_at``."""

    state: State
    at: float
    """When the state was last seen as the newest one."""
    listed_at: float
    """When the listing that led to this state was requested."""


class Registry:
    """The registry of a bucket, for one thread.

    :param root: folder of its objects, with a ``/`` at the end.
    :param raise_if_stopped: called while waiting; may raise an exception to end the wait.
    """

    def __init__(
        self,
        client: CIClient,
        root: str = REGISTRY_PREFIX,
        *,
        raise_if_stopped: Callable[[], object] | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.client = client
        self.root = root
        self.raise_if_stopped = raise_if_stopped or (lambda: None)
        self._timing = timing or Timing()
        self._protection = Protection(client, root, valid_seconds=self._timing.protected)
        self._seen: _Seen | None = None

    def key(self, number: int) -> str:
        """The key of a state."""
        return f"{self.root}{number:08}.json"

    def read(self) -> State:
        """The newest state, or an empty one.

        :raises RecordError: the newest object is damaged, foreign or of a newer version.
        """
        self._seen = self._followed(self._look_up())
        return self._seen.state

    def look_up(self) -> None:
        """Find the newest state in advance, so that :meth:`change` need not, and learn the service's time.

        :raises RecordError: the newest object is damaged, foreign or of a newer version.
        """
        self._seen = self._look_up()

    def change(self, fn: Change, *, timeout_seconds: float = 60.0) -> State:
        """Create the next state and return it. If ``fn`` changes nothing, nothing is written.

        :param fn: returns the next state, given the newest one. It may be called several times. After a lost
            response, the state that it gets may already hold the change; ``fn`` must not make it twice.
        :param timeout_seconds: give up after this time. In a bucket that does not protect objects, one change
            takes some 20 seconds.
        :raises Exception: whatever ``fn`` raises; nothing is written then. So a change can depend on the
            newest state, for example on whether it still holds the writer's claim.
        :raises RegistryBusyError: the change was not made within this time.
        :raises RecordError: the newest object is damaged, foreign or of a newer version.
        :raises CIError: a request failed; the change may have been made.
        """
        until = time.monotonic() + timeout_seconds
        # The time limit ends this loop.
        for attempt in range(1_000_000):
            changed = self._attempt(fn, until)
            if changed is not None:
                return changed
            self._require_time(until, attempt + 1)
            # Writers that lost to the same writer must not try again at the same moment.
            self._wait(_jitter(attempt))
            if self._seen:
                self._seen = self._followed(self._seen)
        raise AssertionError("unreachable")

    def _attempt(self, fn: Change, until: float) -> State | None:
        """The changed state, or ``None`` if another writer was quicker."""
        seen = self._newest()
        protected_at = self._protected_at(seen.state)
        if protected_at is None:
            seen = self._settled(until)
        changed = fn(seen.state)
        # Nothing needs to be written, but the returned state must still be the newest one.
        if changed == seen.state:
            self._seen = self._followed(seen)
            return changed if self._seen.state.number == seen.state.number else None
        state = replace(
            changed,
            number=seen.state.number + 1,
            token=uuid.uuid4().hex,
            base=seen.state.token,
            protected_at=protected_at,
        )
        return self._create(state, seen)

    def _newest(self) -> _Seen:
        """A state that may be the newest."""
        seen = self._seen
        # The difference is absolute: if the clock jumps backwards, a state must not count as known for ever.
        if seen and abs(expiry_now(self.client) - seen.listed_at) < self._timing.known:
            return seen
        return self._look_up()

    def _look_up(self) -> _Seen:
        """The newest state that a listing shows; newer ones may exist."""
        # Taken before the request, so that the state never seems younger than it is.
        at = expiry_now(self.client)
        for number in sorted((_number(info.key) for info in self._listed()), reverse=True):
            state = self._get(number)
            if state is not None:
                return _Seen(state=state, at=at, listed_at=at)
        return _Seen(state=State(), at=at, listed_at=at)

    def _followed(self, seen: _Seen) -> _Seen:
        """The newest state, found by following the numbers upwards from this one."""
        while True:
            at = expiry_now(self.client)
            state = self._get(seen.state.number + 1)
            if state is None:
                return replace(seen, at=at)
            seen = replace(seen, state=state, at=at)

    def _listed(self) -> Iterator[ObjectInfo]:
        """The objects of states, lowest number first."""
        marker: str | None = ""
        while marker is not None:
            page = self.client.list_objects_page(self.root, start_after=marker, delimiter="/")
            for info in page.objects:
                if _STATE_NAME.fullmatch(info.key[len(self.root) :]):
                    yield info
            marker = page.next_marker

    def _get(self, number: int) -> State | None:
        key = self.key(number)
        try:
            body = self.client.read_object(key)
        except NotFoundError as error:
            # A missing bucket must not be taken for an empty registry.
            if error.code == "NoSuchBucket":
                raise
            return None
        return decode(key, body, number)

    def _create(self, state: State, seen: _Seen) -> State | None:
        """Write a state; return ``None`` if another writer has taken this number."""
        self._seen = None  # if the write fails, the newest state is unknown
        at, is_protected = expiry_now(self.client), state.protected_at is not None
        try:
            self._put(
                state,
                expires_at=seen.at + (self._timing.writing if is_protected else self._timing.creating),
            )
            found: State | None = state
        # Another writer has taken the number, or this PUT came too late. Reading the number shows which.
        except (ObjectExistsError, RequestExpiredError):
            found = None
        if not is_protected:
            self._wait_for(self._timing.creating + self._timing.skew)
        if not is_protected or found is None:
            found = self._get(state.number)
        self._seen = replace(seen, state=found, at=at) if found else None
        if found is None or found.token != state.token:
            return None
        self._clean_up(state.number)
        return state

    def _put(self, state: State, *, expires_at: float) -> None:
        self.client.put_object(
            self.key(state.number), state.encode(), content_type=JSON, overwrite=False, expires_at=expires_at
        )

    def _protected_at(self, state: State) -> float | None:
        now = expiry_now(self.client)
        if self._protection.is_recent(state.protected_at, now):
            return state.protected_at
        return self._protection.protected_at(now)

    def _settled(self, until: float) -> _Seen:
        """Wait until no PUT can replace the newest state of an unprotected bucket, and return the state.

        The state is read before its age is checked. If the state was replaced in between, ``at`` is so old
        that a write based on the state expires before it is sent.
        """
        seconds = self._timing.creating + self._timing.skew
        while True:
            seen = self._followed(self._look_up())
            left = self._age_left(seen.state.number, seconds) if seen.state.number else 0.0
            if left is not None and left <= 0:
                return seen
            if left is not None:
                self._wait_for(min(left, until - time.monotonic()))
            self._require_time(until, 0)

    def _age_left(self, number: int, seconds: float) -> float | None:
        """Seconds until the object of a state is this old; ``None`` if it has vanished."""
        try:
            written = self.client.head_object(self.key(number)).last_modified.timestamp()
        except NotFoundError:
            return None
        return written + seconds - service_now(self.client)

    def _clean_up(self, number: int) -> None:
        """Delete old states if the number is divisible by 10. The next cleaning deletes what fails here."""
        if number % _CLEANING_STEP:
            return
        try:
            listed = sorted(self._listed(), key=lambda info: info.key)
            # The age is relative to the newest state, not to a clock, so that a wrong clock deletes nothing.
            for info in listed[:-KEPT_STATES]:
                if (listed[-1].last_modified - info.last_modified).total_seconds() >= KEPT_SECONDS:
                    self.client.delete_object(info.key)
        except CIError as error:
            log.info("old states of the registry %s stay for now: %s", self.root, error)

    def _require_time(self, until: float, conflicts: int) -> None:
        if time.monotonic() < until:
            return
        reason = (
            f"other batches were quicker {conflicts} times"
            if conflicts
            else "the bucket does not protect objects (versioning), so that each change takes some 20 seconds"
        )
        raise RegistryBusyError(
            f"the registry {self.root!r} was not changed in time: {reason}. Try again, or allow more time"
        )

    def _wait_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._wait(min(left, 0.5))

    def _wait(self, seconds: float) -> None:
        self.raise_if_stopped()
        time.sleep(seconds)


def _jitter(attempt: int) -> float:
    most = min(_MAX_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2 ** min(attempt, 10))
    return random.uniform(0, most)  # noqa: S311


def _number(key: str) -> int:
    return int(key.rpartition("/")[2].partition(".")[0])
