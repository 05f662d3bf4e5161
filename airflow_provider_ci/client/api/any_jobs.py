"""Calls for jobs of any tag, at ``/jobs``, ``/doc_jobs``, ``/pic_jobs`` and ``/file_jobs``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from airflow_provider_ci.client import checks
from airflow_provider_ci.client.any_job import (
    JOB_OPERATIONS,
    LISTED_PATHS,
    PATHS,
    JobOperation,
    path_of_job_id,
    path_of_tag,
)
from airflow_provider_ci.client.api.jobs import JobCalls, Order
from airflow_provider_ci.client.callbacks import Callback
from airflow_provider_ci.client.job_requests import JobFilter, JobKind, Submission
from airflow_provider_ci.client.jobs import Job, JobPage, JobState


class AnyJobCalls(JobCalls):
    """Jobs of any tag."""

    def submit_job(
        self,
        input_key: str | None,
        output_key: str | None,
        operation: JobOperation,
        *,
        output_bucket: str | None = None,
        output_region: str | None = None,
        input_url: str | None = None,
        queue_type: str | None = None,
        queue_id: str | None = None,
        user_data: str | None = None,
        job_level: int | None = None,
        callback: Callback | None = None,
        expires_at: float | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Job:
        """Submit a job of any tag; arguments as for :meth:`submit_doc_job`.

        The API's names are CreateMediaJobs (``/jobs``) and CreateFileProcessJobs (``/file_jobs``).

        :param input_key: None also where the operation names its inputs, such as FileCompress.
        :param output_key: None if the operation writes no object, or names its objects by itself.
        :param operation: :class:`.CIJob`, or :class:`.DocWatermark`, :class:`.ImageOCR`,
            :class:`.FileHashCode` and the others with a tag of their own.
        """
        if not isinstance(operation, JOB_OPERATIONS):
            names = ", ".join(each.__name__ for each in JOB_OPERATIONS)
            raise TypeError(
                f"operation must be one of {names}, not {operation!r}; "
                "documents and pictures have submit_doc_job and submit_pic_job"
            )
        return self._submit(
            Submission(
                kind=_kind(operation.tag, operation.path or path_of_tag(operation.tag)),
                input_key=input_key,
                output_key=output_key,
                operation=operation,
                output_bucket=output_bucket or self.bucket,
                output_region=output_region or self.region,
                input_url=input_url,
                queue_type=queue_type,
                queue_id=queue_id,
                user_data=user_data,
                job_level=job_level,
                callback=callback,
                expires_at=expires_at,
                extra=extra or {},
            )
        )

    def get_job(self, job_id: str, *, path: str | None = None) -> Job:
        """Read a job of any tag (DescribeMediaJob, DescribeFileProcessJob).

        :param path: such as ``/file_jobs``; by default it is derived from the first letter of the id.
        :raises NotFoundError: it does not exist.
        """
        return self._get(_kind("", path or path_of_job_id(job_id)), job_id).named(job_id)

    def list_jobs(
        self,
        tag: str,
        *,
        path: str | None = None,
        states: Iterable[JobState] | None = None,
        queue_id: str | None = None,
        queue_type: str | None = None,
        input_key: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        order: Order = "Desc",
        page_size: int = 100,
    ) -> Iterator[Job]:
        """Yield the jobs of a tag, newest first (DescribeMediaJobs); see :meth:`list_doc_jobs`.

        :param path: the usual one of the tag by default.
        :param queue_type: such as ``FileProcess``; ``queue_id`` overrides it.
        :raises ValueError: the path has no listing, which is so for ``/file_jobs``.
        """
        filters = JobFilter(
            states=states,
            queue_id=queue_id,
            queue_type=queue_type,
            input_key=input_key,
            created_after=created_after,
            created_before=created_before,
            order=order,
            page_size=page_size,
        )
        return self._list(_listed_kind(tag, path), filters)

    def list_jobs_page(
        self,
        tag: str,
        *,
        path: str | None = None,
        states: Iterable[JobState] | None = None,
        queue_id: str | None = None,
        queue_type: str | None = None,
        input_key: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        order: Order = "Desc",
        page_size: int = 100,
        next_token: str | None = None,
    ) -> JobPage:
        """Read one page of :meth:`list_jobs`, the first without ``next_token``."""
        filters = JobFilter(
            states=states,
            queue_id=queue_id,
            queue_type=queue_type,
            input_key=input_key,
            created_after=created_after,
            created_before=created_before,
            order=order,
            page_size=page_size,
        )
        return self._list_page(_listed_kind(tag, path), filters, next_token)

    def cancel_job(self, job_id: str) -> None:
        """Cancel a job of any tag that does not run yet (CancelMediaJob)."""
        self._cancel(_kind("", path_of_job_id(job_id)), job_id)


def _kind(tag: str, path: str) -> JobKind:
    checks.one_of("path", path, PATHS)
    return JobKind(tag=tag, path=path, cancel_path="/doc_jobs" if path == "/doc_jobs" else "/jobs")


def _listed_kind(tag: str, path: str | None) -> JobKind:
    kind = _kind(tag, path or path_of_tag(tag))
    if kind.path not in LISTED_PATHS:
        raise ValueError(
            f"the service has no listing at {kind.path}, so {tag} jobs are read by their ids; "
            "jobs that were submitted with path='/jobs' are listed there"
        )
    return kind
