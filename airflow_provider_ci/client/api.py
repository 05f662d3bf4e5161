"""CIClient: one short method per operation of the service."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from airflow_provider_ci.client import checks, objects
from airflow_provider_ci.client.answers import Answer
from airflow_provider_ci.client.clock import Clock
from airflow_provider_ci.client.documents import DocProcess
from airflow_provider_ci.client.errors import CIResponseError
from airflow_provider_ci.client.job_requests import (
    DOCUMENT_JOBS,
    PICTURE_JOBS,
    JobFilter,
    JobKind,
    Submission,
    cancellation,
    query,
)
from airflow_provider_ci.client.jobs import Job, JobAnswer, JobPage, JobState
from airflow_provider_ci.client.objects import ObjectInfo, ObjectPage, Upload
from airflow_provider_ci.client.pictures import PicProcess
from airflow_provider_ci.client.queues import Queue, QueuePage, QueueState
from airflow_provider_ci.client.request import Request
from airflow_provider_ci.client.retry import RetryPolicy
from airflow_provider_ci.client.signing import Credentials
from airflow_provider_ci.client.transport import Transport

C = TypeVar("C", bound="CIClient")
Order = Literal["Desc", "Asc"]

IDS_PER_REQUEST = 10
QUEUES_PER_PAGE = 100


class CIClient:
    """Jobs, queues and objects of one bucket, over signed HTTP.

    Thread-safe, with one pool of connections; close it, or use it as a context manager. GET, HEAD, PUT and
    DELETE are repeated by the retry policy; a submission only where the service certainly did not take it.
    Every method raises the errors of :mod:`airflow_provider_ci.client.errors`, and ValueError for arguments
    that cannot be right.

    :param bucket: with its APPID, such as ``examplebucket-1250000000``.
    :param endpoint: where to connect instead of the service's host names, such as ``http://127.0.0.1:9000``.
    :param timeout: seconds to connect and to wait for each piece of an answer, or one number for both.
    :param requests_per_second: of all threads together; None for no limit.
    :param max_connections: open at a time; further threads wait.
    :param verify: False to trust any certificate, or the path of a bundle of trusted ones.
    """

    def __init__(
        self,
        credentials: Credentials,
        region: str,
        bucket: str,
        *,
        endpoint: str | None = None,
        timeout: float | tuple[float, float] = (10.0, 60.0),
        retry: RetryPolicy | None = None,
        requests_per_second: float | None = None,
        max_connections: int = 32,
        verify: bool | str | os.PathLike[str] = True,
        _clock: Clock | None = None,
    ) -> None:
        self.region = region
        self.bucket = bucket
        self._transport = Transport(
            credentials,
            region,
            bucket,
            endpoint=endpoint,
            timeout=timeout,
            retry=retry or RetryPolicy(),
            requests_per_second=requests_per_second,
            max_connections=max_connections,
            verify=verify,
            clock=_clock or Clock(),
        )

    def __enter__(self: C) -> C:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all idle connections; a later call opens new ones."""
        self._transport.close()

    # Document jobs

    def submit_doc_job(
        self,
        input_key: str,
        output_key: str,
        operation: DocProcess,
        *,
        output_bucket: str | None = None,
        output_region: str | None = None,
        queue_id: str | None = None,
        user_data: str | None = None,
        job_level: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Job:
        """Have a document converted (CreateDocProcessJobs).

        :param output_key: may hold ``${Number}``, ``${Page}``, ``${SheetID}``; its extension stays as it is.
        :param output_bucket: this bucket by default; likewise ``output_region``.
        :param queue_id: the bucket's own queue by default.
        :param user_data: comes back with the job where the service echoes it.
        :param job_level: 0, 1 or 2; a higher one goes first.
        :param extra: further nodes of ``Request``, such as ``CallBack``.
        :raises SubmissionUnknownError: if the service may have taken it, but did not say so.
        """
        return self._submit(
            Submission(
                kind=DOCUMENT_JOBS,
                input_key=input_key,
                output_key=output_key,
                operation=operation,
                output_bucket=output_bucket or self.bucket,
                output_region=output_region or self.region,
                queue_id=queue_id,
                user_data=user_data,
                job_level=job_level,
                extra=extra or {},
            )
        )

    def get_doc_job(self, job_id: str) -> Job:
        """Read a document job (DescribeDocProcessJob); NotFoundError if there is none."""
        return self._get(DOCUMENT_JOBS, job_id).named(job_id)

    def list_doc_jobs(
        self,
        *,
        states: Iterable[JobState] | None = None,
        queue_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        order: Order = "Desc",
        page_size: int = 100,
    ) -> Iterator[Job]:
        """Go through the document jobs, newest first (DescribeDocProcessJobs).

        One page is in memory at a time. The service keeps jobs for a month. Times are aware.
        """
        filters = JobFilter(
            states=states,
            queue_id=queue_id,
            created_after=created_after,
            created_before=created_before,
            order=order,
            page_size=page_size,
        )
        return self._list(DOCUMENT_JOBS, filters)

    def list_doc_jobs_page(
        self,
        *,
        states: Iterable[JobState] | None = None,
        queue_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        order: Order = "Desc",
        page_size: int = 100,
        next_token: str | None = None,
    ) -> JobPage:
        """Read one page of document jobs, the first without ``next_token``."""
        filters = JobFilter(
            states=states,
            queue_id=queue_id,
            created_after=created_after,
            created_before=created_before,
            order=order,
            page_size=page_size,
        )
        return self._list_page(DOCUMENT_JOBS, filters, next_token)

    def cancel_doc_job(self, job_id: str) -> None:
        """Cancel a document job that does not run yet (CancelDocProcessJob)."""
        self._transport.send(cancellation(DOCUMENT_JOBS, job_id), Answer.read)

    # Picture jobs

    def submit_pic_job(
        self,
        input_key: str,
        output_key: str,
        operation: PicProcess,
        *,
        output_bucket: str | None = None,
        output_region: str | None = None,
        queue_id: str | None = None,
        user_data: str | None = None,
        job_level: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Job:
        """Have a picture processed (CreatePicProcessJobs); arguments as for :meth:`submit_doc_job`."""
        return self._submit(
            Submission(
                kind=PICTURE_JOBS,
                input_key=input_key,
                output_key=output_key,
                operation=operation,
                output_bucket=output_bucket or self.bucket,
                output_region=output_region or self.region,
                queue_id=queue_id,
                user_data=user_data,
                job_level=job_level,
                extra=extra or {},
            )
        )

    def get_pic_job(self, job_id: str) -> Job:
        """Read a picture job (DescribePicProcessJob); NotFoundError if there is none."""
        return self._get(PICTURE_JOBS, job_id).named(job_id)

    def get_pic_jobs(self, job_ids: Sequence[str]) -> list[Job]:
        """Read any number of picture jobs, ten a request, in the order of their ids, without unknown ones."""
        found: dict[str, Job] = {}
        for start in range(0, len(job_ids), IDS_PER_REQUEST):
            answer = self._get(PICTURE_JOBS, *job_ids[start : start + IDS_PER_REQUEST])
            found.update((job.job_id, job) for job in answer.jobs)
        return [found[job_id] for job_id in job_ids if job_id in found]

    def list_pic_jobs(
        self,
        *,
        states: Iterable[JobState] | None = None,
        queue_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        order: Order = "Desc",
        page_size: int = 100,
    ) -> Iterator[Job]:
        """Go through the picture jobs (DescribePicProcessJobs), as :meth:`list_doc_jobs` does."""
        filters = JobFilter(
            states=states,
            queue_id=queue_id,
            created_after=created_after,
            created_before=created_before,
            order=order,
            page_size=page_size,
        )
        return self._list(PICTURE_JOBS, filters)

    def list_pic_jobs_page(
        self,
        *,
        states: Iterable[JobState] | None = None,
        queue_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        order: Order = "Desc",
        page_size: int = 100,
        next_token: str | None = None,
    ) -> JobPage:
        """Read one page of picture jobs, the first without ``next_token``."""
        filters = JobFilter(
            states=states,
            queue_id=queue_id,
            created_after=created_after,
            created_before=created_before,
            order=order,
            page_size=page_size,
        )
        return self._list_page(PICTURE_JOBS, filters, next_token)

    def cancel_pic_job(self, job_id: str) -> None:
        """Cancel a picture job that does not run yet (CancelPicProcessJob)."""
        self._transport.send(cancellation(PICTURE_JOBS, job_id), Answer.read)

    # Queues

    def list_doc_queues(
        self, *, state: QueueState | None = None, queue_ids: Sequence[str] = ()
    ) -> list[Queue]:
        """Read the document queues (DescribeDocProcessQueues), all or those of a state or with these ids."""
        return self._list_queues("/docqueue", state, queue_ids)

    def list_pic_queues(
        self, *, state: QueueState | None = None, queue_ids: Sequence[str] = ()
    ) -> list[Queue]:
        """Read the picture queues (DescribePicProcessQueues), as :meth:`list_doc_queues` does."""
        return self._list_queues("/picqueue", state, queue_ids)

    # Objects

    def head_bucket(self) -> None:
        """Return if the bucket exists and this key may read it (HEAD Bucket)."""
        self._transport.send(Request(method="HEAD", service="cos", path="/"), Answer.read)

    def list_objects(
        self, prefix: str = "", *, start_after: str = "", page_size: int = 1000
    ) -> Iterator[ObjectInfo]:
        """Go through the objects below a prefix, in the order of their keys' bytes (GET Bucket).

        One page is in memory at a time.

        :param start_after: only keys after this one.
        """
        marker: str | None = start_after
        while marker is not None:
            page = self.list_objects_page(prefix, start_after=marker, page_size=page_size)
            yield from page.objects
            marker = page.next_marker

    def list_objects_page(
        self, prefix: str = "", *, start_after: str = "", delimiter: str = "", page_size: int = 1000
    ) -> ObjectPage:
        """Read one page of a listing; ``delimiter`` gathers what lies below it in ``common_prefixes``."""
        checks.number("page_size", page_size, 1, 1000)
        wanted = {"prefix": prefix, "marker": start_after, "delimiter": delimiter, "max-keys": str(page_size)}
        params = (*((name, value) for name, value in wanted.items() if value), ("encoding-type", "url"))
        request = Request(method="GET", service="cos", path="/", params=params)
        page = self._transport.send(request, ObjectPage.from_answer)
        if page.next_marker is not None and page.next_marker.encode() <= start_after.encode():
            raise CIResponseError(
                f"the listing does not advance: after {start_after!r} it goes on at {page.next_marker!r}",
                request_id=page.request_id,
            )
        return page

    def head_object(self, key: str) -> ObjectInfo:
        """Read what is known of an object (HEAD Object); NotFoundError if there is none."""
        return self._transport.send(self._object("HEAD", key), lambda answer: objects.described(key, answer))

    def get_object(self, key: str, path: str | os.PathLike[str]) -> ObjectInfo:
        """Write an object's bytes to a file (GET Object).

        ``path`` is either complete or not touched: the bytes go to a temporary file beside it, which takes
        the name at the end. An answer that ends early is fetched again.

        :raises OSError: if the file cannot be written.
        """
        target = Path(path)
        return self._transport.send(
            self._object("GET", key), lambda answer: objects.save(key, target, answer)
        )

    def read_object(self, key: str) -> bytes:
        """Return an object's bytes (GET Object), for those that fit into memory."""
        return self._transport.send(self._object("GET", key), lambda answer: b"".join(answer.chunks()))

    def put_object(
        self, key: str, source: bytes | str | os.PathLike[str], *, content_type: str | None = None
    ) -> ObjectInfo:
        """Store bytes, or a file's bytes, under a key (PUT Object); an object of that key is replaced.

        What the service says to have stored is compared with what was sent.

        :param source: bytes, or the path of a file, which is read again if the request has to be repeated.
        """
        headers = {"Content-Type": checks.header("content_type", content_type or "application/octet-stream")}
        if isinstance(source, bytes):
            md5 = hashlib.md5(source, usedforsecurity=False)
            headers["Content-MD5"] = base64.b64encode(md5.digest()).decode()
            request = self._object("PUT", key, headers=headers, body=source)
            return self._transport.send(
                request, lambda answer: objects.stored(key, answer, len(source), md5.hexdigest())
            )
        upload = Upload(Path(source))
        request = self._object("PUT", key, headers=headers, body=upload)
        return self._transport.send(
            request, lambda answer: objects.stored(key, answer, upload.size, upload.md5)
        )

    def delete_object(self, key: str) -> None:
        """Delete an object (DELETE Object); one that is not there is no error."""
        self._transport.send(self._object("DELETE", key), Answer.read)

    # What the methods share

    def _submit(self, submission: Submission) -> Job:
        return self._transport.send(
            submission.to_request(), lambda answer: JobAnswer.from_answer(answer).submitted()
        )

    def _get(self, kind: JobKind, *job_ids: str) -> JobAnswer:
        return self._transport.send(query(kind, *job_ids), JobAnswer.from_answer)

    def _list(self, kind: JobKind, filters: JobFilter) -> Iterator[Job]:
        page = self._list_page(kind, filters, None)
        seen: set[str] = set()
        yield from page.jobs
        while page.next_token is not None:
            if page.next_token in seen:
                raise CIResponseError(
                    f"the listing of jobs goes round: page {page.next_token!r} comes again",
                    request_id=page.request_id,
                )
            seen.add(page.next_token)
            page = self._list_page(kind, filters, page.next_token)
            yield from page.jobs

    def _list_page(self, kind: JobKind, filters: JobFilter, next_token: str | None) -> JobPage:
        return self._transport.send(filters.to_request(kind, next_token), JobAnswer.from_answer).page()

    def _list_queues(self, path: str, state: QueueState | None, queue_ids: Sequence[str]) -> list[Queue]:
        for queue_id in queue_ids:
            checks.identifier("queue_id", queue_id)
        queues: list[Queue] = []
        for page_number in itertools.count(1):
            wanted = {
                "queueIds": ",".join(queue_ids),
                "state": str(state) if state else "",
                "pageNumber": str(page_number),
                "pageSize": str(QUEUES_PER_PAGE),
            }
            params = tuple([(name, value) for name, value in wanted.items() if value])
            request = Request(method="GET", service="ci", path=path, params=params)
            page = self._transport.send(request, QueuePage.from_answer)
            queues += page.queues
            if not page.queues or queue_ids or page.total_count is None or len(queues) >= page.total_count:
                break
        return queues

    def _object(
        self,
        method: str,
        key: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Upload | None = None,
    ) -> Request:
        checks.object_key("key", key)
        return Request(method=method, service="cos", path=f"/{key}", headers=headers or {}, body=body)
