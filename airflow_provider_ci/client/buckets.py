"""Buckets that a feature of CI is switched on for.

Source: tencentcloud.com document/product/1045/74910 and 72915 to 72917.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_ci.client.errors import CIResponseError
from airflow_provider_ci.client.http.responses import Response
from airflow_provider_ci.client.wire import nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A feature of CI: the path that lists its buckets, and the name of a bucket's XML node."""

    path: str
    node: str


DOCUMENTS = Feature(path="/docbucket", node="DocBucket")
PICTURES = Feature(path="/picbucket", node="PicBucket")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceBucket:
    """A bucket that a feature is switched on for; ``alias`` exists for document processing only."""

    bucket: str
    name: str = ""
    region: str = ""
    created_at: datetime | None = None
    alias: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_node(cls, node: nodes.Tree, request_id: str) -> ServiceBucket:
        """Read a ``DocBucket`` or ``PicBucket`` node."""
        return cls(
            bucket=nodes.required(node, "BucketId", request_id),
            name=nodes.text(node, "Name"),
            region=nodes.text(node, "Region"),
            created_at=nodes.moment(node, "CreateTime"),
            alias=nodes.text(node, "AliasBucketId"),
            raw=node,
        )

    @classmethod
    def from_response(cls, response: Response, feature: Feature) -> ServiceBucket:
        """Read the ``Response`` to a feature that was switched on."""
        request_id = response.request_id
        node = response.tree
        found = nodes.child(node, feature.node)
        if not found:
            raise CIResponseError(f"the response lacks <{feature.node}>", request_id=request_id)
        return cls.from_node(found, request_id)
