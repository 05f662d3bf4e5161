"""The calls that document jobs and picture jobs share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Literal

from airflow_provider_ci.client.api.connected import Connected
from airflow_provider_ci.client.errors import CIResponseError
from airflow_provider_ci.client.job_requests import JobFilter, JobKind, Submission, cancellation, query
from airflow_provider_ci.client.jobs import Job, JobAnswer, JobPage
from airflow_provider_ci.client.responses import nothing

_log = logging.getLogger(__name__)

MAX_EMPTY_PAGES = 1000
"""More empty pages than this in a row mean that the service keeps inventing tokens."""
MAX_PAGES = 100_000
"""Enough for ten million jobs, more than a bucket can have in the month for which jobs are kept."""

Order = Literal["Desc", "Asc"]


class JobCalls(Connected):
    """Submit, read, list and cancel jobs of one kind."""

    def _submit(self, submission: Submission) -> Job:
        return self._transport.send(
            submission.to_request(),
            lambda response: JobAnswer.from_response(response).submitted(
                submission.input_key or "", submission.output_key or ""
            ),
        )

    def _get(self, kind: JobKind, *job_ids: str) -> JobAnswer:
        return self._transport.send(query(kind, *job_ids), JobAnswer.from_response)

    def _list(self, kind: JobKind, filters: JobFilter) -> Iterator[Job]:
        """Yield jobs while the tokens are new. An empty page with a token is not the last page."""
        token, seen, empty_pages = None, set[str](), 0
        while True:
            page = self._list_page(kind, filters, token)
            yield from page.jobs
            token = page.next_token
            if token is None:
                return
            if token in seen:
                _log.warning("the listing of jobs ends at page %r, which was already read", token[:60])
                return
            seen.add(token)
            empty_pages = 0 if page.jobs else empty_pages + 1
            if empty_pages > MAX_EMPTY_PAGES or len(seen) > MAX_PAGES:
                raise CIResponseError(
                    f"the listing of jobs does not end: {len(seen)} pages, "
                    f"the last {empty_pages} of them without jobs",
                    request_id=page.request_id,
                )

    def _list_page(self, kind: JobKind, filters: JobFilter, next_token: str | None) -> JobPage:
        return self._transport.send(filters.to_request(kind, next_token), JobAnswer.from_response).page()

    def _cancel(self, kind: JobKind, job_id: str) -> None:
        self._transport.send(cancellation(kind, job_id), nothing)
