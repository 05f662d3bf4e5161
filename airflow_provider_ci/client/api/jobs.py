"""What calls for document jobs and picture jobs share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from airflow_provider_ci.client.answers import Answer
from airflow_provider_ci.client.api.connected import Connected
from airflow_provider_ci.client.errors import CIResponseError
from airflow_provider_ci.client.job_requests import JobFilter, JobKind, Submission, cancellation, query
from airflow_provider_ci.client.jobs import Job, JobAnswer, JobPage

Order = Literal["Desc", "Asc"]


class JobCalls(Connected):
    """Submit, read, list and cancel jobs of a kind."""

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

    def _cancel(self, kind: JobKind, job_id: str) -> None:
        self._transport.send(cancellation(kind, job_id), Answer.read)
