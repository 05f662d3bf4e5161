"""The objects and requests of one check, and their removal.

A shared part is an observation that several assumptions need. It is made once, for the first of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from airflow_provider_ci.check import samples
from airflow_provider_ci.check.finding import NotSeenError, Part
from airflow_provider_ci.check.job import DOCUMENT, PICTURE, JobStory, Sort
from airflow_provider_ci.check.signed_url import CONTENT_TYPE, send
from airflow_provider_ci.client import (
    AccessDeniedError,
    CIClient,
    CIConnectionError,
    CIError,
    CIServiceError,
    Exchange,
    NotFoundError,
    ObjectInfo,
    Queue,
)

T = TypeVar("T")

LISTING_POLLS = 14
SHORT_BODY = b"short"
CLEANING_REQUESTS = 60
"""Number of requests that are reserved for removing the objects."""
FIRST_PAUSE_SECONDS, PAUSE_GROWTH, LONGEST_PAUSE_SECONDS = 0.1, 1.6, 10.0


class CheckError(Exception):
    """The check cannot continue; the message says why and what to do."""


class Shared(Generic[T]):
    """A part of a trial that is made at most once. A failure is kept and raised again, like a result.

    :param requests: maximum number of requests that the part sends, without retries.
    """

    def __init__(self, make: Callable[[Trial], T], requests: int) -> None:
        self._make = make
        self.requests = requests

    def __get__(self, trial: Trial, owner: type[Trial]) -> T:
        found = trial.outcomes.get(self)
        if found is None:
            found = trial.outcomes[self] = self._outcome(trial)
        if isinstance(found, CIError):
            raise found
        made: T = found[0]
        return made

    def _outcome(self, trial: Trial) -> tuple[T] | CIError:
        try:
            return (self._make(trial),)
        except CIError as error:
            return error


def shared(requests: int) -> Callable[[Callable[[Trial], T]], Shared[T]]:
    """Turn a method of a trial into a shared part."""
    return lambda make: Shared(make, requests)


class Trial:
    """One check of one bucket.

    :param folder: prefix of all objects of the check, with a slash at its end.
    :param patience_seconds: how long to wait for a job to end, or for an object to be listed.
    :param most_requests: maximum number of requests; the check ends with an error before it sends more.
    :param verify: which certificates to trust for signed URLs; the same values as for the client.
    :param is_interrupted: polled at each pause. Python drops a KeyboardInterrupt that is raised while it
        finalizes an object, so the exception alone does not always arrive.
    """

    def __init__(
        self,
        client: CIClient,
        folder: str,
        *,
        patience_seconds: float,
        most_requests: int,
        verify: bool | str = True,
        is_interrupted: Callable[[], bool] = bool,
    ) -> None:
        self.client = client
        self.is_interrupted = is_interrupted
        self.folder = folder
        self.patience_seconds = patience_seconds
        self.outcomes: dict[Shared[Any], Any] = {}
        self.exchanges: list[Exchange] = []
        self.stories: list[JobStory] = []
        self._verify = verify
        self._requests_left = most_requests - CLEANING_REQUESTS
        self._written: dict[str, None] = {}

    # Requests

    @contextmanager
    def observed(self) -> Iterator[None]:
        """Record the client's exchanges within this context."""
        self.client.observe(self._keep)
        try:
            yield
        finally:
            self.client.observe(None)

    def _keep(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        if len(self.exchanges) == self._requests_left:
            raise CheckError(
                f"the check has sent {self._requests_left} requests and ends: the service responds too "
                "slowly, or asks for too many retries. Try again later."
            )

    def upload_to(self, url: str) -> int:
        """Store a small object through a signed URL, as another program would, and return the status."""
        exchange = send(self.client, "PUT", url, SHORT_BODY, verify=self._verify)
        self._keep(exchange)
        return exchange.status

    def pauses(self) -> Iterator[float]:
        """Wait between polls, a little longer each time; yield the seconds since the first poll.

        The iterator ends after ``patience_seconds``.
        """
        clock = self.client.clock
        start, elapsed, pause = clock.monotonic(), 0.0, FIRST_PAUSE_SECONDS
        while elapsed < self.patience_seconds:
            yield elapsed
            if self.is_interrupted():
                raise KeyboardInterrupt
            clock.sleep(min(pause, max(self.patience_seconds - elapsed, FIRST_PAUSE_SECONDS)))
            elapsed = clock.monotonic() - start
            pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)

    # Objects

    def key(self, name: str) -> str:
        """Return the key of an object of this check, and note it for the removal at the end."""
        key = f"{self.folder}{name}"
        self._written[key] = None
        return key

    def put(self, name: str, body: bytes = samples.DOCUMENT, **options: Any) -> ObjectInfo:
        """Store an object of the check."""
        return self.client.put_object(self.key(name), body, content_type="text/plain", **options)

    @shared(requests=1)
    def stored(self) -> tuple[ObjectInfo, Exchange]:
        """An object, and the exchange that stored it."""
        info = self.put("stored.txt")
        return info, self.exchanges[-1]

    @shared(requests=LISTING_POLLS)
    def listed_after(self) -> float | None:
        """Seconds until a stored object appeared in the listing; None if it never did."""
        key = self.stored[0].key
        for polls, elapsed in enumerate(self.pauses(), 1):
            if any(item.key == key for item in self.client.list_objects_page(self.folder).objects):
                return elapsed
            if polls == LISTING_POLLS:
                break
        return None

    @shared(requests=0)
    def short_lived_url(self) -> tuple[str, float]:
        """A URL that stores an object and expires in one second, and its expiry by the service's clock."""
        return self.signed_upload("late.txt", valid_seconds=1), self.client.clock.now() + 1

    def signed_upload(self, name: str, valid_seconds: int) -> str:
        """Return a URL that stores an object and whose signature covers every header of :meth:`upload_to`."""
        return self.client.object_url(
            self.key(name),
            method="PUT",
            headers={"Content-Type": CONTENT_TYPE, "Content-Length": str(len(SHORT_BODY))},
            valid_seconds=valid_seconds,
        )

    # Queues and the state of the service

    @shared(requests=1)
    def document_queues(self) -> list[Queue]:
        """The document queues of the bucket."""
        return self.client.list_doc_queues()

    @shared(requests=1)
    def picture_queues(self) -> list[Queue]:
        """The picture queues of the bucket."""
        return self.client.list_pic_queues()

    @shared(requests=1)
    def document_service(self) -> bool | None:
        """Whether document processing is switched on; None if the key has no permission to read that."""
        return self._is_open(self.client.list_doc_buckets)

    @shared(requests=1)
    def picture_service(self) -> bool | None:
        """Whether picture processing is switched on; None if the key has no permission to read that."""
        return self._is_open(self.client.list_pic_buckets)

    def is_switched_on(self, part: Part) -> bool | None:
        """Whether the service for a kind of job is switched on; None if the key may not read that."""
        return self.document_service if part is Part.DOCUMENTS else self.picture_service

    def _is_open(self, buckets: Callable[..., list[Any]]) -> bool | None:
        bucket = self.client.bucket
        try:
            return any(found.bucket == bucket for found in buckets(bucket_names=[bucket]))
        except AccessDeniedError:
            return None

    # Jobs

    @shared(requests=48)
    def document_job(self) -> JobStory:
        """The document job, from its submission to its end."""
        return self._story(DOCUMENT)

    @shared(requests=48)
    def picture_job(self) -> JobStory:
        """The picture job, from its submission to its end."""
        return self._story(PICTURE)

    def _story(self, sort: Sort) -> JobStory:
        source = self.client.put_object(
            self.key(sort.input_name), sort.sample, content_type=sort.content_type
        )
        story = JobStory(self.client, sort, source.key, self.key(sort.output_name))
        self.stories.append(story)
        try:
            story.submit()
        except CIError as error:
            raise CheckError(
                f"bucket {self.client.bucket} takes no {sort.noun} job: {error} "
                f"To check without it, use --skip {sort.part.value}."
            ) from error
        story.follow(self.pauses())
        return story

    # Removal

    def clean_up(self) -> tuple[str, ...]:
        """Cancel jobs that have not ended, and delete the check's objects; return the keys that remain."""
        if not self._written:
            return ()
        self._requests_left = 0  # the limit does not apply to the removal
        keys = dict(self._written)
        try:
            running = [story for story in self.stories if not story.has_ended]
            left = {story.output_key for story in running if not story.stop(self.pauses())}
            keys.update(dict.fromkeys(self._unknown_keys()))
            left |= {key for key in list(keys) if not self._delete(key, keys)}
        except CIConnectionError:
            return tuple(keys)  # each further request would take as long to fail
        return tuple(sorted(left))

    def _delete(self, key: str, keys: dict[str, None]) -> bool:
        """Delete an object and remove its key from ``keys``, if the service allows the deletion."""
        try:
            self.client.delete_object(key)
        except CIServiceError:
            return False
        del keys[key]
        return True

    def _unknown_keys(self) -> list[str]:
        try:
            return [item.key for item in self.client.list_objects_page(self.folder).objects]
        except CIServiceError:
            return []

    def require_known(self, story: JobStory) -> JobStory:
        """Return the story if the check saw the end of its job.

        :raises NotSeenError: the check did not see it.
        """
        if story.ended is None:
            raise NotSeenError(f"the {story.sort.noun} job {story.fate}")
        return story

    def exists(self, key: str) -> bool:
        """Whether an object can be read at this moment."""
        try:
            self.client.head_object(key)
        except NotFoundError:
            return False
        return True


def shared_requests() -> int:
    """Return the maximum number of requests that all shared parts send together."""
    return sum(part.requests for part in vars(Trial).values() if isinstance(part, Shared))
