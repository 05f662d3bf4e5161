"""The requests that list jobs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_ci.client.http.request import Request
from airflow_provider_ci.client.http.responses import RESPONSE
from airflow_provider_ci.client.jobs.job import QUEUE_TYPES, JobKind, JobState
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.wire import nodes

MAX_JOBS_PER_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs to list. Fields that are None do not filter."""

    tag: str | None = None
    states: Iterable[JobState] | None = None
    queue_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    input_key: str | None = None
    workflow_id: str | None = None
    inventory_trigger_job_id: str | None = None
    queue_type: str | None = None
    order: str = "Desc"
    page_size: int = MAX_JOBS_PER_PAGE

    def __post_init__(self) -> None:
        checks.one_of("order", self.order, ("Desc", "Asc"))
        checks.number("page_size", self.page_size, 1, MAX_JOBS_PER_PAGE)
        checks.one_of("queue_type", self.queue_type, QUEUE_TYPES)
        if self.states is not None:
            states = tuple([JobState(state) for state in self.states])
            if JobState.UNKNOWN in states:
                raise ValueError("states must not hold 'Unknown', which is not a state of the service")
            object.__setattr__(self, "states", states)

    def to_request(self, kind: JobKind, next_token: str | None) -> Request:
        """The request for the page that ``next_token`` stands for."""
        params = {
            "tag": self.tag or kind.tag,
            "orderByTime": self.order,
            "size": str(self.page_size),
            "states": ",".join(map(str, self.states)) if self.states else None,
            "queueId": self.queue_id,
            "queueType": self.queue_type,
            "inputObject": self.input_key,
            "workflowId": self.workflow_id,
            "inventoryTriggerJobId": self.inventory_trigger_job_id,
            "startCreationTime": nodes.format_time(self.created_after) if self.created_after else None,
            "endCreationTime": nodes.format_time(self.created_before) if self.created_before else None,
            "nextToken": next_token,
        }
        given = tuple([(name, value) for name, value in params.items() if value])
        return Request(method="GET", service="ci", path=kind.path, params=given, success=RESPONSE)
