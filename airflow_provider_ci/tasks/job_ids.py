"""Reads job ids in every form in which users and other tasks pass them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_ci.client.records import checks


def job_ids_in(value: Any) -> Iterator[str]:
    """Read job ids from a text with commas, an operator's result, a list of these, or a list as text.

    :raises ValueError: no job id can be read from some part of the value.
    """
    value = checks.as_written(value)
    if isinstance(value, str):
        yield from (job_id.strip() for job_id in value.split(",") if job_id.strip())
    elif isinstance(value, Mapping) and "job_id" in value:
        yield from job_ids_in(value["job_id"])
    elif isinstance(value, Iterable) and not isinstance(value, Mapping):
        # This includes Airflow's lazy sequence, which holds the results of a mapped task.
        for item in value:
            yield from job_ids_in(item)
    elif value is not None:
        raise ValueError(f"job_ids: cannot read a job id from {value!r}")
