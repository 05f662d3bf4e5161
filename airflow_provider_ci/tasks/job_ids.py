"""Job ids in every form in which users and other tasks hand them over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_ci.client.records import checks


def job_ids_in(value: Any) -> Iterator[str]:
    """The job ids in a text with commas, an operator's result, or a list of either, or the text of these.

    :raises ValueError: a job id cannot be read from part of it.
    """
    value = checks.as_written(value)
    if isinstance(value, str):
        yield from (job_id.strip() for job_id in value.split(",") if job_id.strip())
    elif isinstance(value, Mapping) and "job_id" in value:
        yield from job_ids_in(value["job_id"])
    elif isinstance(value, Iterable) and not isinstance(value, Mapping):
        # Also Airflow's lazy sequence, in which the results of a mapped task arrive.
        for item in value:
            yield from job_ids_in(item)
    elif value is not None:
        raise ValueError(f"job_ids: cannot read a job id from {value!r}")
