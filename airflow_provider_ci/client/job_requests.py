"""Requests that submit, read, list and cancel jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Union

from airflow_provider_ci.client import checks, documents, nodes, pictures, xml
from airflow_provider_ci.client.callbacks import Callback
from airflow_provider_ci.client.documents import DocProcess
from airflow_provider_ci.client.jobs import JobState
from airflow_provider_ci.client.pictures import PicProcess, PicTemplate
from airflow_provider_ci.client.request import Request
from airflow_provider_ci.client.responses import RESPONSE
from airflow_provider_ci.client.secrets import refuse_reference
from airflow_provider_ci.client.watermarks import DocAIGCMetadata, DocWatermark

Operation = Union[  # noqa: UP007  (evaluated at run time)
    DocProcess, DocWatermark, DocAIGCMetadata, PicProcess, PicTemplate
]
PicForm = Literal["pic_jobs", "jobs"]

MAX_JOBS_PER_PAGE = 100
QUEUE_TYPES = ("Transcoding", "Speeching", "PicProcess", "AIProcess", "SpeedTranscoding")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """Where the jobs of a tag are submitted and read, and where they are cancelled."""

    tag: str
    path: str
    cancel_path: str


DOCUMENT_JOBS = JobKind(tag=documents.TAG, path="/doc_jobs", cancel_path="/doc_jobs")
_PICTURE_FORMS = {
    "pic_jobs": JobKind(tag=pictures.TAG, path="/pic_jobs", cancel_path="/jobs"),
    "jobs": JobKind(tag=pictures.TAG, path="/jobs", cancel_path="/jobs"),
}


def picture_jobs(form: PicForm) -> JobKind:
    """Picture jobs in one of the two forms: ``/pic_jobs``, or ``/jobs`` which serves media jobs too."""
    try:
        return _PICTURE_FORMS[form]
    except KeyError:
        raise ValueError(f"form must be one of {', '.join(_PICTURE_FORMS)}, not {form!r}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A job to submit."""

    kind: JobKind
    input_key: str | None
    output_key: str
    operation: Operation
    output_bucket: str
    output_region: str
    input_url: str | None = None
    output_sprite_key: str | None = None
    queue_type: str | None = None
    queue_id: str | None = None
    user_data: str | None = None
    job_level: int | None = None
    callback: Callback | None = None
    expires_at: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.input_url is None:
            checks.object_key("input_key", self.input_key)
        elif self.input_key is not None:
            raise ValueError("give input_key or input_url, not both")
        elif not self.input_url.startswith(("http://", "https://")):
            raise ValueError(f"input_url must begin with http:// or https://, not {self.input_url!r}")
        checks.object_key("output_key", self.output_key)
        if self.output_sprite_key is not None:
            checks.object_key("output_sprite_key", self.output_sprite_key)
        checks.one_of("queue_type", self.queue_type, QUEUE_TYPES)
        checks.number("job_level", self.job_level, 0, 2)
        refuse_reference("password", getattr(self.operation, "password", None))
        if self.kind.tag == pictures.TAG:
            checks.user_data(self.user_data)

    def to_request(self) -> Request:
        """Return the request that submits it."""
        return Request(
            method="POST",
            service="ci",
            path=self.kind.path,
            headers={"Content-Type": "application/xml"},
            body=self._to_xml(),
            success=RESPONSE,
            submits=(self.input_key or self.input_url or "", self.output_key),
            expires_at=self.expires_at,
        )

    def _to_xml(self) -> bytes:
        output = {
            "Region": self.output_region,
            "Bucket": self.output_bucket,
            "Object": self.output_key,
            "SpriteObject": self.output_sprite_key,
        }
        request: dict[str, object] = {
            "Tag": self._tag,
            "QueueId": self.queue_id,
            "Input": {"Object": self.input_key, "Url": self.input_url},
            "Operation": {
                **self._asked(),
                "Output": output,
                "UserData": self.user_data,
                "JobLevel": self.job_level,
            },
            **(self.callback.to_nodes() if self.callback else {}),
            "QueueType": self.queue_type,
        }
        return xml.build("Request", _merged(request, self.extra) if self.extra else request)

    @property
    def _tag(self) -> str:
        if isinstance(self.operation, (DocWatermark, DocAIGCMetadata)):
            return self.operation.tag
        return self.kind.tag

    def _asked(self) -> dict[str, object]:
        if isinstance(self.operation, PicTemplate):
            return {"TemplateId": self.operation.template_id}
        return {self._tag: self.operation.to_node()}


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


def _merged(given: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, object]:
    """Add ``extra`` nodes at any depth. They replace existing nodes of the same name."""
    merged: dict[str, object] = dict(given)
    for name, value in extra.items():
        known = merged.get(name)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            value = _merged(known, value)
        merged[name] = value
    return merged


def query(kind: JobKind, *job_ids: str) -> Request:
    """The request for jobs by their ids."""
    for job_id in job_ids:
        checks.identifier("job_id", job_id)
    path = f"{kind.path}/{','.join(job_ids)}"
    return Request(method="GET", service="ci", path=path, success=RESPONSE)


def cancellation(kind: JobKind, job_id: str) -> Request:
    """The request that cancels a job."""
    checks.identifier("job_id", job_id)
    path = f"{kind.cancel_path}/{job_id}"
    return Request(method="PUT", service="ci", path=path, params=(("cancel", ""),), body=b"")
