"""Cancelling jobs that have not begun."""

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
    """Cancel those of the jobs that have not begun; the service lets running ones end.

    Requests run side by side and the newest jobs go first, since a task that is killed has five seconds.
    An error is logged, not raised.
    """
    with ThreadPoolExecutor(_THREADS, "ci-cancel") as executor:
        list(executor.map(partial(_cancel, client), reversed(list(job_ids))))


def _cancel(client: CIClient, job_id: str) -> None:
    try:
        type_of_job_id(job_id).cancel(client, job_id)
        log.info("cancelled job %s", job_id)
    except CIError as error:
        log.info("job %s is not cancelled: %s", job_id, error)
