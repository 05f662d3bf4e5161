"""One run of a batch at a time: a lease, kept as an object in the bucket.

Leases are numbered; the newest counts. Who holds one writes it anew all the time. Whoever finds one that is
not released watches it: if it changes, its holder is alive; if it does not for as long as it lasts, its
holder is dead and the next number is free. Numbers are taken with ``x-cos-forbid-overwrite``, so that only
one of two takes them. Ages are reckoned by the service's clock.

A bucket that ever had versioning replaces an object all the same. There the last writer has the number, and
knows it when nobody can write any more: all who saw it free have signed their writing to expire soon after.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType

from airflow_provider_ci.batch.lease_records import LeaseRecord, LeaseRecords
from airflow_provider_ci.batch.records import LeaseLapsedError, OtherWriterError, RecordError
from airflow_provider_ci.client import CIClient, CIError, NotFoundError, ObjectInfo, RequestExpiredError

log = logging.getLogger(__name__)

_RENEWALS = 4
"""How often a lease is renewed in the time that it lasts."""
_CLOCK_SECONDS = 2.0
"""The service tells times in whole seconds."""
SKEW_SECONDS = 6.0
"""So much later than asked for may the service take a request to be expired: it reads whole seconds, and a
client corrects its clock when it differs by five."""
_CREATING_SECONDS = 3.0, 10.0
"""Within a quarter of its time, but at least and at most so long after it was seen to be free, a number is
taken or not at all."""


class BatchRunningError(CIError):
    """Another run of the same batch is alive, so this one has done nothing, or has stopped."""

    def __init__(self, folder: str, holder: str) -> None:
        self.folder = folder
        self.holder = holder
        super().__init__(
            f"the batch in {folder!r} is being run by {holder}; wait until that run has ended, or end it: "
            "then the next run takes over what it has done"
        )

    def __reduce__(self) -> tuple[type[BatchRunningError], tuple[str, str]]:
        return type(self), (self.folder, self.holder)


class Lease:
    """The right to run a batch, renewed by a thread while it is held. A context manager.

    :param folder: of the batch, with its ``/`` at the end.
    :param seconds: how long it lasts without renewal: so long does a run wait for one that has died.
    """

    def __init__(self, client: CIClient, folder: str, *, seconds: float) -> None:
        self._client = client
        self._records = LeaseRecords(client, folder)
        self._folder = folder
        self._seconds = seconds
        self._holder = f"process {os.getpid()} on {socket.gethostname()}"
        self._id = uuid.uuid4().hex
        self._number = 0
        self._renewals = 0
        self._etag = ""
        self._good_until = 0.0
        least, most = _CREATING_SECONDS
        self._creating_seconds = max(least, min(seconds / _RENEWALS, most))
        self._creating_until = 0.0
        self._created_by = 0.0
        self._is_returning = False
        self._lost: BatchRunningError | None = None
        self._problem: CIError | None = None
        self._is_over = Event()
        self._thread: Thread | None = None
        self.follows_a_crash = False
        """Whether the run before this one ended without releasing its lease."""

    def take(self, heed_stop: Callable[[], object]) -> None:
        """Take the lease, when need be after waiting for a dead run's to end.

        :param heed_stop: called while waiting; raises to give up.
        :raises BatchRunningError: another run is alive.
        """
        while not self._try_to_take(heed_stop):
            heed_stop()
            time.sleep(min(0.5, self._seconds / _RENEWALS))
        self._thread = Thread(target=self._keep, name="ci-lease", daemon=True)
        self._thread.start()

    def _try_to_take(self, heed_stop: Callable[[], object]) -> bool:
        try:
            seen_free = time.monotonic()
            found = self._records.newest()
            if found is None or found.id != self._id:  # else only the answer to our writing was lost
                self.follows_a_crash = found is not None and not self._was_released(found, heed_stop)
                self._create(found.number + 1 if found else 1, seen_free)
            if not self._is_protected():
                self._outwait_rivals(heed_stop)
        except (OtherWriterError, RequestExpiredError):
            self._good_until = 0.0
            return False  # another run has been quicker, or we have been too slow
        except NotFoundError as error:
            if error.code == "NoSuchBucket":
                raise
            return False  # the lease that was found is deleted, so another one is newer
        return True

    @property
    def is_held(self) -> bool:
        """Whether nobody else can hold it now; asked before all that only one run may do."""
        return self._lost is None and time.monotonic() < self._good_until

    @property
    def expires_at(self) -> float:
        """Unix time until which nobody else can hold it."""
        return 0.0 if self._lost else _unix_time(self._client, self._good_until)

    def writes_until(self) -> float:
        """The same for what is not paid for: to the end of that second, which is long before a takeover.

        :raises BatchRunningError: another run has taken over.
        """
        if self._lost is not None:
            raise self._lost
        return self.expires_at + 1

    def check(self) -> None:
        """Return if it is held.

        :raises BatchRunningError: another run has taken over.
        :raises CIError: it could not be renewed for too long; that heals when the bucket can be written.
        """
        if self._lost is not None:
            raise self._lost
        if not self.is_held:
            raise self._problem or LeaseLapsedError(f"the lease of {self._folder!r} was not renewed in time")

    def release(self) -> None:
        """Let the next run begin at once. Without it, that one waits until the lease has ended."""
        self._stop()
        if self._number and self.is_held:
            try:
                self._write(is_released=True)
            except CIError as error:
                log.warning("the lease of %s is not released, it ends by itself: %s", self._folder, error)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _was_released(self, found: LeaseRecord, heed_stop: Callable[[], object]) -> bool:
        """Return when the lease is released, or was not renewed for as long as it lasts; say which.

        :raises BatchRunningError: it was renewed.
        """
        if found.is_released:
            return True
        seen = self._client.head_object(self._records.key(found.number))
        found = self._records.read(found.number)
        if found.is_released:
            return True
        age = (self._client.server_time() - seen.last_modified).total_seconds() - _CLOCK_SECONDS
        if age > found.seconds:
            return False
        log.info("waiting for the lease of %s, held by %s, to end", self._folder, found.holder)
        until = time.monotonic() + found.seconds - max(0.0, age)
        while time.monotonic() < until:
            heed_stop()
            time.sleep(min(0.5, found.seconds / _RENEWALS))
            if self._client.head_object(seen.key).etag != seen.etag:
                if self._records.read(found.number).is_released:
                    return True
                raise BatchRunningError(self._folder, found.holder)
        return False

    def _create(self, number: int, seen_free: float) -> None:
        if time.monotonic() - seen_free > self._creating_seconds / 2:  # a dead holder was waited for
            seen_free = time.monotonic()
            if self._records.look(number) is not None:
                raise OtherWriterError(self._records.key(number))
        self._number = number
        self._good_until = self._good_from(time.monotonic())  # also if only the answer is lost
        self._creating_until = self._created_by = seen_free + self._creating_seconds
        expires_at = _unix_time(self._client, self._creating_until)
        self._etag = self._records.create(self._next_record(), expires_at=expires_at)
        self._created_by = time.monotonic()

    def _is_protected(self) -> bool:
        """Whether the bucket keeps what we have written from being replaced, as far as that is known.

        If it does not, the lease lasts longer by the time that it takes to be sure of it.
        """
        unsure_seconds, began = self._creating_seconds + SKEW_SECONDS, time.monotonic()
        record, expires_at = self._next_record(unsure_seconds), _unix_time(self._client, self._creating_until)
        try:
            etag = self._records.replace_if_unprotected(record, expires_at=expires_at)
        except RequestExpiredError:
            return False
        if etag is None:
            return True
        self._etag = etag
        self._good_until = self._good_from(began + unsure_seconds)
        return False

    def _outwait_rivals(self, heed_stop: Callable[[], object]) -> None:
        """Return when nobody can write in our place any more.

        :raises OtherWriterError: somebody has.
        """
        until = self._created_by + self._creating_seconds + SKEW_SECONDS
        log.info(
            "the bucket does not protect the lease of %s (versioning?): sure of it in %.0f s",
            self._folder,
            until - time.monotonic(),
        )
        while time.monotonic() < until:
            heed_stop()
            time.sleep(min(0.5, self._seconds / _RENEWALS))
        self._renew()
        if self._lost is not None:
            self._lost = None
            raise OtherWriterError(self._records.key(self._number))

    def _write(self, *, is_released: bool = False) -> None:
        was_held, began = self.is_held, time.monotonic()
        self._etag = self._records.replace(self._next_record(is_released=is_released))
        if was_held or self._is_returning:
            self._good_until = self._good_from(began)
        # A run that saw it unchanged for so long may be taking over at this moment: the next renewal knows.
        self._is_returning = not (was_held or self._is_returning)

    def _good_from(self, written: float) -> float:
        """Until when it is good: a third less than others wait, for what is on its way when it ends."""
        return written + self._seconds * 2 / 3

    def _next_record(self, more_seconds: float = 0.0, *, is_released: bool = False) -> LeaseRecord:
        self._renewals += 1
        return LeaseRecord(
            number=self._number,
            id=self._id,
            holder=self._holder,
            seconds=self._seconds + more_seconds,
            renewals=self._renewals,
            is_released=is_released,
        )

    def _keep(self) -> None:
        while not self._is_over.wait(self._seconds / _RENEWALS) and self._lost is None:
            try:
                self._renew()
                self._problem = None
            except CIError as error:
                self._problem = error
                log.warning("the lease of %s is not renewed for now: %s", self._folder, error)

    def _renew(self) -> None:
        if self._records.look(self._number + 1) is not None:
            self._lost = BatchRunningError(self._folder, "a run that began later and took over")
            return
        info = self._records.look(self._number)  # None: many runs have taken over since
        if info is not None and self._is_ours(info):
            self._write()
            return
        self._lost = BatchRunningError(self._folder, "a run that took over")

    def _is_ours(self, info: ObjectInfo) -> bool:
        """Whether it is as we wrote it; the answer to our last writing may have been lost."""
        if info.etag == self._etag:
            return True
        with suppress(RecordError):
            return self._records.read(self._number).id == self._id
        return False


def _unix_time(client: CIClient, moment: float) -> float:
    """A moment of the monotonic clock as Unix time by the service's clock."""
    return client.clock.now() + moment - time.monotonic()
