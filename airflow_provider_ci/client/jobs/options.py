"""The keyword arguments that several calls about jobs share, each defined once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, TypedDict

from airflow_provider_ci.client.callbacks import Callback
from airflow_provider_ci.client.jobs.job import JobState

Order = Literal["Desc", "Asc"]


class JobOptions(TypedDict, total=False):
    """Optional arguments of a submission. None has the same meaning as leaving an argument out."""

    output_bucket: str | None
    output_region: str | None
    input_url: str | None
    output_sprite_key: str | None
    queue_type: str | None
    queue_id: str | None
    user_data: str | None
    job_level: int | None
    callback: Callback | None
    expires_at: float | None
    extra: Mapping[str, Any] | None


class JobFilters(TypedDict, total=False):
    """Filters, order and page size of a listing. None has the same meaning as leaving an argument out."""

    states: Iterable[JobState] | None
    queue_id: str | None
    created_after: datetime | None
    created_before: datetime | None
    order: Order
    page_size: int
    tag: str | None


class PicJobFilters(JobFilters, total=False):
    """The filters that only listings of picture jobs have."""

    input_key: str | None
    workflow_id: str | None
    inventory_trigger_job_id: str | None
    queue_type: str | None


def check_names(given: Mapping[str, object], allowed: type) -> None:
    """Reject unknown keyword arguments, as Python does for a function without ``**options``.

    :param allowed: the class that defines the arguments, such as :class:`JobOptions`.
    """
    names = allowed.__annotations__
    for name in given:
        if name not in names:
            raise TypeError(f"unexpected keyword argument {name!r}; there are {', '.join(names)}")
