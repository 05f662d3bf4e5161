"""One run of a batch at a time: a lease, kept as an object in the bucket.

Leases are numbered; the newest counts. Who holds one writes it anew all the time. Whoever finds one that is
not released watches it: if it changes, its holder is alive; if it does not for as long as it lasts, its
holder is dead and the next number is free. Numbers are taken with ``x-cos-forbid-overwrite``, so that only
one of two takes them. Ages are reckoned by the service's clock.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread
from types import TracebackType
from typing import Any

from airflow_provider_ci.batch.records import OtherWriterError, write_new
from airflow_provider_ci.client import CIClient, CIError, NotFoundError, ObjectInfo

log = logging.getLogger(__name__)

_RENEWALS = 4
"""How often a lease is renewed in the time that it lasts."""
_CLOCK_SECONDS = 2.0
"""The service tells times in whole seconds."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A lease as it stands in the bucket."""

    number: int
    info: ObjectInfo
    id: str
    holder: str
    seconds: float
    is_released: bool


class Lease:
    """The right to run a batch, renewed by a thread while it is held. A context manager.

    :param folder: of the batch, with its ``/`` at the end.
    :param seconds: how long it lasts without renewal: so long does a run wait for one that has died.
    """

    def __init__(self, client: CIClient, folder: str, *, seconds: float) -> None:
        self._client = client
        self._folder = folder
        self._seconds = seconds
        self._holder = f"process {os.getpid()} on {socket.gethostname()}"
        self._id = uuid.uuid4().hex
        self._number = 0
        self._renewals = 0
        self._etag = ""
        self._good_until = 0.0
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
            found = self._newest()
            if found is not None and found.id == self._id:  # only the answer to our writing was lost
                self._number = found.number
                self._write(is_taken=True)
                return True
            self.follows_a_crash = found is not None and not self._was_released(found, heed_stop)
            self._create(found.number + 1 if found else 1)
            if found is not None:
                with suppress(CIError):  # the next run deletes what is left
                    self._client.delete_object(found.info.key)
        except OtherWriterError:
            return False  # another run has been quicker
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
        return time.time() + self._good_until - time.monotonic()

    def check(self) -> None:
        """Return if it is held.

        :raises BatchRunningError: another run has taken over.
        :raises CIError: it could not be renewed for too long; that heals when the bucket can be written.
        """
        if self._lost is not None:
            raise self._lost
        if not self.is_held:
            raise self._problem or CILeaseLapsedError(
                f"the lease of {self._folder!r} was not renewed in time"
            )

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

    def _key(self, number: int) -> str:
        return f"{self._folder}lease/{number:08}.json"

    def _newest(self) -> _Found | None:
        infos = list(self._client.list_objects(f"{self._folder}lease/"))
        for info in infos[:-1]:
            self._client.delete_object(info.key)
        return self._read(infos[-1]) if infos else None

    def _read(self, info: ObjectInfo) -> _Found:
        content = self._content(info.key)
        return _Found(
            number=int(info.key.rpartition("/")[2].partition(".")[0]),
            info=info,
            id=str(content.get("id")),
            holder=str(content.get("holder")),
            seconds=float(content.get("seconds", self._seconds)),
            is_released=bool(content.get("released")),
        )

    def _content(self, key: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self._client.read_object(key))
        return content

    def _was_released(self, found: _Found, heed_stop: Callable[[], object]) -> bool:
        """Return when the lease is released, or was not renewed for as long as it lasts; say which.

        :raises BatchRunningError: it was renewed.
        """
        if found.is_released:
            return True
        age = (self._client.server_time() - found.info.last_modified).total_seconds() - _CLOCK_SECONDS
        if age > found.seconds:
            return False
        log.info("waiting for the lease of %s, held by %s, to end", self._folder, found.holder)
        until = time.monotonic() + found.seconds - max(0.0, age)
        while time.monotonic() < until:
            heed_stop()
            time.sleep(min(0.5, found.seconds / _RENEWALS))
            now = self._client.head_object(found.info.key)
            if now.etag != found.info.etag:
                if self._read(now).is_released:
                    return True
                raise BatchRunningError(self._folder, found.holder)
        return False

    def _create(self, number: int) -> None:
        self._number = number
        self._write(is_new=True)
        # Where versioning makes the service ignore that nothing is to be replaced, the last writer stays.
        if self._client.head_object(self._key(number)).etag != self._etag:
            raise OtherWriterError(self._key(number))

    def _write(self, *, is_released: bool = False, is_new: bool = False, is_taken: bool = False) -> None:
        was_held, began = is_new or is_taken or self.is_held, time.monotonic()
        self._renewals += 1
        content = {
            "version": 1,
            "holder": self._holder,
            "id": self._id,
            "renewals": self._renewals,
            "seconds": self._seconds,
            "released": is_released,
        }
        body, key = json.dumps(content).encode(), self._key(self._number)
        if is_new:
            self._etag = write_new(self._client, key, body)
        else:
            self._etag = self._client.put_object(key, body, content_type="application/json").etag
        if was_held or self._is_returning:
            # A third less than others wait, for what is on its way when it ends.
            self._good_until = began + self._seconds * 2 / 3
        # A run that saw it unchanged for so long may be taking over at this moment: the next renewal knows.
        self._is_returning = not (was_held or self._is_returning)

    def _keep(self) -> None:
        while not self._is_over.wait(self._seconds / _RENEWALS) and self._lost is None:
            try:
                self._renew()
                self._problem = None
            except CIError as error:
                self._problem = error
                log.warning("the lease of %s is not renewed for now: %s", self._folder, error)

    def _renew(self) -> None:
        with suppress(NotFoundError):
            self._client.head_object(self._key(self._number + 1))
            self._lost = BatchRunningError(self._folder, "a run that began later and took over")
            return
        with suppress(NotFoundError):  # a run that took over has deleted it
            if self._is_ours(self._client.head_object(self._key(self._number))):
                self._write()
                return
        self._lost = BatchRunningError(self._folder, "a run that took over")

    def _is_ours(self, info: ObjectInfo) -> bool:
        """Whether it is as we wrote it; the answer to our last writing may have been lost."""
        return info.etag == self._etag or self._content(info.key).get("id") == self._id


class CILeaseLapsedError(CIError):
    """The lease ended before it could be renewed; the run waits until it is renewed."""

    is_retryable = True
