"""One job of a check, from its submission to its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from airflow_provider_ci.check import samples
from airflow_provider_ci.check.finding import Part
from airflow_provider_ci.client import (
    CIClient,
    CIServiceError,
    DocProcess,
    InvalidRequestError,
    Job,
    JobPage,
    JobState,
    NotFoundError,
    ObjectInfo,
    PicProcess,
)
from airflow_provider_ci.jobs import DOCUMENTS, PICTURES, JobType

LONG_USER_DATA, SHORT_USER_DATA = 1024, 64
"""Lengths in characters: the documented maximum for pictures, and more than this package ever sends."""
MAX_EMPTY_PAGES = 4
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """A kind of job, with the operation and the sample that the check uses for it."""

    part: Part
    noun: str
    letter: str
    """The first letter of the ids of such jobs."""
    job_type: JobType
    operation: DocProcess | PicProcess
    sample: bytes
    content_type: str
    input_name: str
    output_name: str


# The operation sends every parameter that the engine compares after a lost response, even with its default.
DOCUMENT = Sort(
    part=Part.DOCUMENTS,
    noun="document",
    letter="d",
    job_type=DOCUMENTS,
    operation=DocProcess(
        target="pdf", start_page=1, end_page=-1, comments=0, quality=100, zoom=100, image_dpi=96
    ),
    sample=samples.DOCUMENT,
    content_type="text/plain",
    input_name="document.txt",
    output_name="document.pdf",
)
PICTURE = Sort(
    part=Part.PICTURES,
    noun="picture",
    letter="c",
    job_type=PICTURES,
    operation=PicProcess("imageMogr2/thumbnail/!50p", is_pic_info=True),
    sample=samples.picture(),
    content_type="image/png",
    input_name="picture.png",
    output_name="small.png",
)


@dataclass(slots=True)
class JobStory:
    """A job from its submission to its end, as the service showed it.

    ``known_after``, ``listed_after`` and ``ended_after`` are steady seconds since the response to the
    submission: when the job was first read by its id, first seen in a listing, and first seen ended.
    """

    client: CIClient
    sort: Sort
    input_key: str
    output_key: str
    user_data: str = ""
    is_long_user_data_refused: bool = False
    submitted: Job = field(init=False)
    sent_at: float = 0.0
    """Unix seconds by the service's clock; ``confirmed_at`` is when the submission was confirmed."""
    confirmed_at: float = 0.0
    known_after: float | None = None
    listed_after: float | None = None
    ended: Job | None = None
    ended_after: float | None = None
    output: ObjectInfo | None = None
    is_lost: bool = False
    """The service showed the job, and later reported that it does not exist."""
    is_submitted: bool = False

    def submit(self) -> None:
        """Submit the job, with a long UserData if the service accepts that.

        :raises CIError: the service refuses the job.
        """
        self.user_data = self._text(LONG_USER_DATA)
        try:
            self._submit()
        except InvalidRequestError:
            self.is_long_user_data_refused = True
            self.user_data = self._text(SHORT_USER_DATA)
            self._submit()

    def _submit(self) -> None:
        clock = self.client.clock
        self.sent_at = clock.now()
        self.submitted = self.sort.job_type.submit(
            self.client, self.input_key, self.output_key, self.sort.operation, user_data=self.user_data
        )
        self.confirmed_at = clock.now()
        self.is_submitted = True

    def _text(self, length: int) -> str:
        return (f"{self.input_key};" * length)[:length]

    # Watching the job

    def follow(self, pauses: Iterator[float]) -> None:
        """Poll until the job has ended and was listed, or the service has lost it, or ``pauses`` ends."""
        for elapsed in pauses:
            self._look(elapsed)
            if self.listed_after is None and not self.is_lost and self._is_listed():
                self.listed_after = elapsed
            if self.is_lost or (self.ended and self.listed_after is not None):
                break

    def _look(self, elapsed: float) -> None:
        if self.ended:
            return
        try:
            job = self.read()
        except NotFoundError:
            self.is_lost = self.known_after is not None
            return
        if self.known_after is None:
            self.known_after = elapsed
        if job.state.is_final:
            self.ended, self.ended_after = job, elapsed
            self.output = self._output()

    def _output(self) -> ObjectInfo | None:
        try:
            return self.client.head_object(self.output_key)
        except NotFoundError:
            return None

    def _is_listed(self) -> bool:
        return self.is_in(self.page())

    # Reading the job and its listing

    @property
    def job_id(self) -> str:
        """The id of the job."""
        return self.submitted.job_id

    @property
    def created_at(self) -> datetime:
        """When the service created the job, according to the service."""
        assert self.submitted.created_at is not None  # every submitted job has it
        return self.submitted.created_at

    def read(self) -> Job:
        """Read the job by its id."""
        return self.sort.job_type.get(self.client, self.job_id)

    def page(self, **filters: Any) -> JobPage:
        """Read the first page that has jobs; by default oldest first, from 1 s before this job on."""
        page = self.any_page(**filters)
        for _ in range(MAX_EMPTY_PAGES):
            if page.jobs or page.next_token is None:
                break
            page = self.any_page(**{**filters, "next_token": page.next_token})
        return page

    def any_page(self, **filters: Any) -> JobPage:
        """Read a page, which may be empty even if more pages follow."""
        list_page = partial(self.sort.job_type.list_page, self.client)
        defaults = {
            "queue_id": self.submitted.queue_id or None,
            "created_after": self.created_at - _SECOND,
            "order": "Asc",
        }
        return list_page(**{**defaults, **filters})

    def is_in(self, page: JobPage) -> bool:
        """Whether a page shows the job."""
        return any(job.job_id == self.job_id for job in page.jobs)

    # The end of the job

    @property
    def succeeded(self) -> bool:
        """Whether the check saw that the job had succeeded."""
        return self.ended is not None and self.ended.state is JobState.SUCCESS

    @property
    def fate(self) -> str:
        """The outcome of the job, for a message."""
        if self.ended:
            words = ": ".join(part for part in (self.ended.code, self.ended.message) if part)
            return f"ended as {self.ended.state}" + ("" if self.succeeded else f" ({words or 'no reason'})")
        if self.is_lost:
            return "was shown, and is not known any more"
        if self.known_after is None:
            return "was accepted, but the service does not know its id"
        return "did not end in time"

    @property
    def has_ended(self) -> bool:
        """Whether the check saw that the job had ended; an ended job writes nothing more."""
        return self.ended is not None

    def stop(self, pauses: Iterator[float]) -> bool:
        """Cancel the job, or wait for its end if it is running; return True if it will write nothing more."""
        job_id = self._id_of_lost_job()
        if job_id is None:
            return True
        try:
            self.sort.job_type.cancel(self.client, job_id)
        except CIServiceError:
            return self._wait_for_end(job_id, pauses)
        return True

    def _id_of_lost_job(self) -> str | None:
        """The id of the job. If the response to its submission was lost, the listing is searched for it."""
        if self.is_submitted:
            return self.job_id
        try:
            newest = self.sort.job_type.list_page(self.client).jobs
        except CIServiceError:
            return None
        return next((job.job_id for job in newest if job.output_key.lstrip("/") == self.output_key), None)

    def _wait_for_end(self, job_id: str, pauses: Iterator[float]) -> bool:
        for _ in pauses:
            try:
                if self.sort.job_type.get(self.client, job_id).state.is_final:
                    return True
            except NotFoundError:
                return True  # the job has ended: the service forgets only ended jobs
            except CIServiceError:
                return False
        return False
