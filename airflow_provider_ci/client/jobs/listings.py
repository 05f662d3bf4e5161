"""The requests that list jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_provider_ci.client.http.request import Request
from airflow_provider_ci.client.http.responses import RESPONSE
from airflow_provider_ci.client.jobs.job import QUEUE_TYPES, JobKind, JobState
from airflow_provider_ci.client.jobs.options import check_names
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.wire import nodes

# The maximum of ``size`` in the API (1045/47934).
MAX_JOBS_PER_PAGE = 100


def _states(states: Iterable[JobState]) -> str:
    wanted = [JobState(state) for state in states]
    if JobState.UNKNOWN in wanted:
        raise ValueError("states must not hold 'Unknown', which is not a state of the service")
    return ",".join(map(str, wanted))


_PARAMS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "tag": ("tag", str),
    "order": ("orderByTime", str),
    "page_size": ("size", str),
    "states": ("states", _states),
    "queue_id": ("queueId", str),
    "queue_type": ("queueType", str),
    "input_key": ("inputObject", str),
    "workflow_id": ("workflowId", str),
    "inventory_trigger_job_id": ("inventoryTriggerJobId", str),
    "created_after": ("startCreationTime", nodes.format_time),
    "created_before": ("endCreationTime", nodes.format_time),
}
"""For each filter: its name in the request, and the function that formats its value."""


class Listing:
    """A listing of the jobs of a kind that match filters; it makes the request for each page."""

    def __init__(self, kind: JobKind, filters: Mapping[str, Any], allowed: type) -> None:
        """Check the filters; the class ``allowed`` defines their names and types."""
        check_names(filters, allowed)
        given = {name: value for name, value in filters.items() if value is not None}
        # The service's own default is 10 jobs per page.
        wanted = {"tag": kind.tag, "order": "Desc", "page_size": MAX_JOBS_PER_PAGE, **given}
        checks.one_of("order", wanted["order"], ("Desc", "Asc"))
        checks.number("page_size", wanted["page_size"], 1, MAX_JOBS_PER_PAGE)
        checks.one_of("queue_type", wanted.get("queue_type"), QUEUE_TYPES)
        written = [(wire, write(wanted[name])) for name, (wire, write) in _PARAMS.items() if name in wanted]
        self._path = kind.path
        self._params = tuple([(wire, text) for wire, text in written if text])

    def page(self, next_token: str | None) -> Request:
        """Return the request for the page with the token ``next_token``; None means the first page."""
        token = (("nextToken", next_token),) if next_token else ()
        return Request(
            method="GET", service="ci", path=self._path, params=(*self._params, *token), success=RESPONSE
        )
