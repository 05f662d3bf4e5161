"""The request that submits a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airflow_provider_ci.client.http.request import XML_BODY, Request
from airflow_provider_ci.client.http.responses import RESPONSE
from airflow_provider_ci.client.jobs.job import QUEUE_TYPES, JobKind
from airflow_provider_ci.client.jobs.options import JobOptions, check_names
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.secrets import refuse_reference
from airflow_provider_ci.client.wire import xml


class Operation:
    """Base class of operations. An operation is what a job does; its tag is the service's name for it."""

    __slots__ = ()
    tag: ClassVar[str]
    output: ClassVar[str | None] = "object"
    """What a job writes: one ``object``, objects below a ``prefix``, or ``none``."""
    may_name_inputs: ClassVar[bool] = False
    """Whether the operation may name the inputs itself, so that a job needs no input key."""

    def to_node(self) -> dict[str, object]:
        """Return the node of a request that has the same name as the tag."""
        raise NotImplementedError

    def to_nodes(self) -> dict[str, object]:
        """Return the nodes that describe the operation, for the ``Operation`` node of a request."""
        return {self.tag: self.to_node()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A job to submit. Its output goes to ``bucket`` in ``region`` unless the options name another place."""

    kind: JobKind
    bucket: str
    region: str
    input_key: str | None
    output_key: str | None
    operation: Operation
    options: JobOptions

    def __post_init__(self) -> None:
        check_names(self.options, JobOptions)
        self._check_input(self.options.get("input_url"))
        self._check_output()
        sprite_key = self.options.get("output_sprite_key")
        if sprite_key is not None:
            checks.object_key("output_sprite_key", sprite_key)
        checks.one_of("queue_type", self.options.get("queue_type"), QUEUE_TYPES)
        checks.number("job_level", self.options.get("job_level"), 0, 2)
        refuse_reference("password", getattr(self.operation, "password", None))

    def _check_output(self) -> None:
        if self.operation.output == "object":
            checks.object_key("output_key", self.output_key)
        elif self.output_key is not None:
            raise ValueError(
                f"output_key must be None, not {self.output_key!r}: a {self.operation.tag} job writes no "
                "single object"
            )

    def _check_input(self, url: str | None) -> None:
        # A FileCompress operation names its inputs, and its request has no Input node (436/53995).
        if url is None and self.input_key is None and self.operation.may_name_inputs:
            return
        if url is None:
            checks.object_key("input_key", self.input_key)
        elif self.input_key is not None:
            raise ValueError("give input_key or input_url, not both")
        elif not url.startswith(("http://", "https://")):
            raise ValueError(f"input_url must begin with http:// or https://, not {url!r}")

    def to_request(self) -> Request:
        """Return the request that submits the job."""
        return Request(
            method="POST",
            service="ci",
            path=self.kind.path,
            headers=XML_BODY,
            body=self._to_xml(),
            success=RESPONSE,
            submits=(self.input_key or self.options.get("input_url") or "", self.output_key or ""),
            expires_at=self.options.get("expires_at"),
        )

    def _to_xml(self) -> bytes:
        options = self.options
        input_url, asked = options.get("input_url"), self.operation.to_nodes()
        callback, extra = options.get("callback"), options.get("extra")
        request: dict[str, object] = {
            "Tag": self.operation.tag,
            # Without a queue id, the job goes to the default queue. All official SDKs allow this, although
            # older API pages require the id.
            "QueueId": options.get("queue_id"),
            # ``Url`` is in the official Go and Java SDKs, not on the API page.
            "Input": {"Object": self.input_key, "Url": input_url} if self.input_key or input_url else None,
            "Operation": {
                **asked,
                "Output": self._output(asked.get("Output")),
                "UserData": options.get("user_data"),
                # Not on the API page of document jobs, but real responses echo it.
                "JobLevel": options.get("job_level"),
            },
            **(callback.to_nodes() if callback else {}),
            "QueueType": options.get("queue_type"),
        }
        return xml.build("Request", _merged(request, extra) if extra else request)

    def _output(self, more: object) -> dict[str, object] | None:
        """Return the ``Output`` node: where the output goes, and further nodes from the operation."""
        if self.operation.output == "none" and not more:
            return None
        options = self.options
        return {
            # The page requires both, even for the input's own bucket (1045/47932).
            "Region": options.get("output_region") or self.region,
            "Bucket": options.get("output_bucket") or self.bucket,
            "Object": self.output_key,
            "SpriteObject": options.get("output_sprite_key"),
            **(more if isinstance(more, Mapping) else {}),
        }


def _merged(given: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, object]:
    """Add the ``extra`` nodes at any depth; each replaces an existing node of the same name."""
    merged: dict[str, object] = dict(given)
    for name, value in extra.items():
        known = merged.get(name)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            value = _merged(known, value)
        merged[name] = value
    return merged
