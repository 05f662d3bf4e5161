"""The requests and loops that the calls of all kinds of job share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from airflow_provider_ci.client.errors import CIResponseError
from airflow_provider_ci.client.http.request import Request
from airflow_provider_ci.client.http.responses import RESPONSE, nothing
from airflow_provider_ci.client.http.transport import Connected
from airflow_provider_ci.client.jobs.job import Job, JobAnswer, JobKind, JobPage
from airflow_provider_ci.client.jobs.listings import Listing
from airflow_provider_ci.client.jobs.options import JobOptions
from airflow_provider_ci.client.jobs.submissions import Operation, Submission
from airflow_provider_ci.client.records import checks

_log = logging.getLogger(__name__)

MAX_EMPTY_PAGES = 1000
"""After more empty pages in a row than this, the service is assumed to send new tokens without end."""
MAX_PAGES = 100_000
"""Maximum number of pages: ten million jobs, more than a bucket can have in the month that jobs are kept."""


class JobCalls(Connected):
    """Submit, read, list and cancel jobs of one kind."""

    def _submit(
        self,
        kind: JobKind,
        input_key: str | None,
        output_key: str | None,
        operation: Operation,
        options: JobOptions,
    ) -> Job:
        request = Submission(
            kind=kind,
            bucket=self.bucket,
            region=self.region,
            input_key=input_key,
            output_key=output_key,
            operation=operation,
            options=options,
        ).to_request()
        return self._transport.send(
            request,
            lambda response: JobAnswer.from_response(response).submitted(input_key or "", output_key or ""),
        )

    def _get(self, kind: JobKind, *job_ids: str) -> JobAnswer:
        return self._transport.send(_query(kind, *job_ids), JobAnswer.from_response)

    def _list(self, listing: Listing) -> Iterator[Job]:
        """Yield jobs page by page until no new token comes; an empty page may be followed by others."""
        token, seen, empty_pages = None, set[str](), 0
        while True:
            page = self._list_page(listing, token)
            yield from page.jobs
            token = page.next_token
            if token is None:
                return
            # The token leads back to a page that was already read: continuing would never end.
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

    def _list_page(self, listing: Listing, next_token: str | None) -> JobPage:
        return self._transport.send(listing.page(next_token), JobAnswer.from_response).page()

    def _cancel(self, kind: JobKind, job_id: str) -> None:
        self._transport.send(_cancellation(kind, job_id), nothing)


def _query(kind: JobKind, *job_ids: str) -> Request:
    """Return the request that reads jobs by their ids."""
    for job_id in job_ids:
        checks.identifier("job_id", job_id)
    # /jobs accepts up to ten ids (1045/73113). The API page of document jobs shows only one.
    path = f"{kind.path}/{','.join(job_ids)}"
    return Request(method="GET", service="ci", path=path, success=RESPONSE)


def _cancellation(kind: JobKind, job_id: str) -> Request:
    """Return the request that cancels a job."""
    checks.identifier("job_id", job_id)
    # The response has status 200 and an empty body.
    path = f"{kind.cancel_path}/{job_id}"
    return Request(method="PUT", service="ci", path=path, params=(("cancel", ""),), body=b"")
