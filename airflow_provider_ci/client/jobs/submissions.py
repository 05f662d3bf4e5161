"""The request that submits a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from airflow_provider_ci.client.callbacks import Callback
from airflow_provider_ci.client.http.request import Request
from airflow_provider_ci.client.http.responses import RESPONSE
from airflow_provider_ci.client.jobs.job import QUEUE_TYPES, JobKind
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.wire import xml


class Operation:
    """What a job does; each tag of the service has a class of its own."""

    __slots__ = ()
    tag: ClassVar[str]

    def to_node(self) -> dict[str, object]:
        """The node of a request that is called like the tag."""
        raise NotImplementedError

    def to_nodes(self) -> dict[str, object]:
        """The nodes that say what to do, for the ``Operation`` of a request."""
        return {self.tag: self.to_node()}


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
            "Tag": self.operation.tag,
            "QueueId": self.queue_id,
            "Input": {"Object": self.input_key, "Url": self.input_url},
            "Operation": {
                **self.operation.to_nodes(),
                "Output": output,
                "UserData": self.user_data,
                "JobLevel": self.job_level,
            },
            **(self.callback.to_nodes() if self.callback else {}),
            "QueueType": self.queue_type,
        }
        return xml.build("Request", _merged(request, self.extra) if self.extra else request)


def _merged(given: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, object]:
    """Add ``extra`` nodes at any depth. They replace existing nodes of the same name."""
    merged: dict[str, object] = dict(given)
    for name, value in extra.items():
        known = merged.get(name)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            value = _merged(known, value)
        merged[name] = value
    return merged
