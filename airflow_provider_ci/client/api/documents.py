"""Calls for document jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from airflow_provider_ci.client.callbacks import Callback
from airflow_provider_ci.client.documents import DocProcess
from airflow_provider_ci.client.jobs.calls import JobCalls, Order
from airflow_provider_ci.client.jobs.job import Job, JobPage, JobState
from airflow_provider_ci.client.jobs.requests import DOCUMENT_JOBS, JobFilter, Submission
from airflow_provider_ci.client.jobs.watermarks import DocAIGCMetadata, DocWatermark


class DocJobCalls(JobCalls):
    """Document jobs: ``/doc_jobs``."""

    def submit_doc_job(
        self,
        input_key: str | None,
        output_key: str,
        operation: DocProcess | DocWatermark | DocAIGCMetadata,
        *,
        output_bucket: str | None = None,
        output_region: str | None = None,
        input_url: str | None = None,
        output_sprite_key: str | None = None,
        queue_type: str | None = None,
        queue_id: str | None = None,
        user_data: str | None = None,
        job_level: int | None = None,
        callback: Callback | None = None,
        expires_at: float | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Job:
        """Submit a job that converts a document or adds marks to it (CreateDocProcessJobs).

        :param input_key: None if ``input_url`` names a document elsewhere.
        :param output_key: may hold ``${Number}``, ``${Page}``, ``${SheetID}``; its extension stays as it is.
        :param output_bucket: this bucket by default; likewise ``output_region``.
        :param output_sprite_key: key of the sprite, for tags that make one.
        :param queue_id: the bucket's own queue by default, or its queue of ``queue_type`` if given.
        :param user_data: a text that the service echoes with the job.
        :param job_level: priority 0, 1 or 2; a higher level runs first.
        :param callback: where to report the end of the job, in place of the queue's callback.
        :param expires_at: Unix time by the service's clock (:attr:`CIClient.clock`). The signature expires in
            that second, so the service accepts the job until then or never.
        :param extra: further nodes of ``Request``, by the names of the API page; they may lie at any depth,
            as in ``{"Operation": {"Output": {"Name": "value"}}}``.
        :raises RequestExpiredError: ``expires_at`` has passed, and no job was created.
        :raises SubmissionUnknownError: the service may have accepted the job, but did not confirm it.
        """
        return self._submit(
            Submission(
                kind=DOCUMENT_JOBS,
                input_key=input_key,
                output_key=output_key,
                operation=operation,
                output_bucket=output_bucket or self.bucket,
                output_region=output_region or self.region,
                input_url=input_url,
                output_sprite_key=output_sprite_key,
                queue_type=queue_type,
                queue_id=queue_id,
                user_data=user_data,
                job_level=job_level,
                callback=callback,
                expires_at=expires_at,
                extra=extra or {},
            )
        )

    def get_doc_job(self, job_id: str) -> Job:
        """Read a document job (DescribeDocProcessJob). Raises NotFoundError if it does not exist."""
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
        tag: str | None = None,
    ) -> Iterator[Job]:
        """Yield the document jobs, newest first (DescribeDocProcessJobs).

        One page is in memory at a time. The service keeps jobs for a month. Times are aware.

        :param tag: the type of jobs, such as ``DocWatermark``; ``DocProcess`` by default.
        """
        filters = JobFilter(
            tag=tag,
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
        tag: str | None = None,
    ) -> JobPage:
        """Read one page of document jobs, the first without ``next_token``."""
        filters = JobFilter(
            tag=tag,
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
        self._cancel(DOCUMENT_JOBS, job_id)
