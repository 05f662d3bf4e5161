"""Calls for picture jobs, which the service offers in two forms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_provider_ci.client.callbacks import Callback
from airflow_provider_ci.client.jobs.calls import JobCalls, Order
from airflow_provider_ci.client.jobs.job import Job, JobPage, JobState
from airflow_provider_ci.client.jobs.requests import JobFilter, PicForm, Submission, picture_jobs
from airflow_provider_ci.client.pictures import PicProcess, PicTemplate

IDS_PER_REQUEST = 10


class PicJobCalls(JobCalls):
    """Picture jobs: ``/pic_jobs``, or with ``form="jobs"`` the newer ``/jobs`` that media jobs share.

    The two forms need different permissions: ``CreatePicProcessJobs`` and so on, or ``CreateMediaJobs`` and
    so on.
    """

    def submit_pic_job(
        self,
        input_key: str | None,
        output_key: str,
        operation: PicProcess | PicTemplate,
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
        form: PicForm = "pic_jobs",
    ) -> Job:
        """Submit a picture job (CreatePicProcessJobs); arguments as for :meth:`submit_doc_job`.

        :param operation: a rule, or a template of the service that holds one.
        """
        return self._submit(
            Submission(
                kind=picture_jobs(form),
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

    def get_pic_job(self, job_id: str, *, form: PicForm = "pic_jobs") -> Job:
        """Read a picture job (DescribePicProcessJob). Raises NotFoundError if it does not exist."""
        return self._get(picture_jobs(form), job_id).named(job_id)

    def get_pic_jobs(self, job_ids: Sequence[str], *, form: PicForm = "pic_jobs") -> list[Job]:
        """Read any number of picture jobs, ten per request, in the order given. Unknown ids are left out."""
        found: dict[str, Job] = {}
        for start in range(0, len(job_ids), IDS_PER_REQUEST):
            answer = self._get(picture_jobs(form), *job_ids[start : start + IDS_PER_REQUEST])
            found.update((job.job_id, job.checked()) for job in answer.jobs)
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
        tag: str | None = None,
        input_key: str | None = None,
        workflow_id: str | None = None,
        inventory_trigger_job_id: str | None = None,
        queue_type: str | None = None,
        form: PicForm = "pic_jobs",
    ) -> Iterator[Job]:
        """Yield the picture jobs (DescribePicProcessJobs), as :meth:`list_doc_jobs` does.

        :param tag: another type of jobs that ``/jobs`` lists; ``PicProcess`` by default.
        :param input_key: only jobs of this object.
        :param workflow_id: only jobs that this workflow made; likewise ``inventory_trigger_job_id``.
        :param queue_type: only jobs in queues of a type, such as ``PicProcess``; ``queue_id`` overrides it.
        """
        filters = JobFilter(
            tag=tag,
            states=states,
            queue_id=queue_id,
            created_after=created_after,
            created_before=created_before,
            input_key=input_key,
            workflow_id=workflow_id,
            inventory_trigger_job_id=inventory_trigger_job_id,
            queue_type=queue_type,
            order=order,
            page_size=page_size,
        )
        return self._list(picture_jobs(form), filters)

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
        tag: str | None = None,
        input_key: str | None = None,
        workflow_id: str | None = None,
        inventory_trigger_job_id: str | None = None,
        queue_type: str | None = None,
        form: PicForm = "pic_jobs",
    ) -> JobPage:
        """Read one page of picture jobs, the first without ``next_token``."""
        filters = JobFilter(
            tag=tag,
            states=states,
            queue_id=queue_id,
            created_after=created_after,
            created_before=created_before,
            input_key=input_key,
            workflow_id=workflow_id,
            inventory_trigger_job_id=inventory_trigger_job_id,
            queue_type=queue_type,
            order=order,
            page_size=page_size,
        )
        return self._list_page(picture_jobs(form), filters, next_token)

    def cancel_pic_job(self, job_id: str) -> None:
        """Cancel a picture job that does not run yet, of either form (CancelPicProcessJob)."""
        self._cancel(picture_jobs("jobs"), job_id)
