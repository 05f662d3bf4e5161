"""Cancels jobs that have not started."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from airflow_provider_ci.client import CIClient, CIError
from airflow_provider_ci.jobs.kinds import type_of_job_id

log = logging.getLogger(__name__)

_THREADS = 32


def cancel_waiting(client: CIClient, job_ids: Iterable[str]) -> None:
    """Cancel the jobs that have not started; the service lets running jobs finish.

    Requests run in parallel, newest jobs first, because a killed task has only five seconds. Errors are
    logged, not raised.
    """
    # The newest jobs come first: the oldest may have started, and then the service does not cancel them.
    with ThreadPoolExecutor(_THREADS, "ci-cancel") as executor:
        # list() waits for all requests; without it, unexpected errors in the threads would go unnoticed.
        list(executor.map(partial(_cancel, client), reversed(list(job_ids))))


def _cancel(client: CIClient, job_id: str) -> None:
    try:
        type_of_job_id(job_id).cancel(client, job_id)
        log.info("cancelled job %s", job_id)
    except CIError as error:
        log.info("could not cancel job %s: %s", job_id, error)
