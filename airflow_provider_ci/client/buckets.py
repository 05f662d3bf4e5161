"""Buckets that a feature of CI is switched on for, and the calls that list them or switch a feature.

Source: tencentcloud.com document/product/1045/74910 and 72915 to 72917.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_ci.client.errors import CIResponseError
from airflow_provider_ci.client.http.request import Request
from airflow_provider_ci.client.http.responses import RESPONSE, Response, nothing
from airflow_provider_ci.client.http.transport import Connected
from airflow_provider_ci.client.records.pages import MAX_ITEMS_PER_PAGE, Page, all_items, page_request
from airflow_provider_ci.client.wire import nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A feature of CI: the path that lists the buckets with the feature, and a bucket's XML node name."""

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
        """Read the ``Response`` to a request that switched a feature on."""
        request_id = response.request_id
        node = response.tree
        found = nodes.child(node, feature.node)
        if not found:
            raise CIResponseError(f"the response lacks <{feature.node}>", request_id=request_id)
        return cls.from_node(found, request_id)


class BucketCalls(Connected):
    """Calls that list the buckets with a feature, and that switch a feature on or off for this bucket."""

    def list_doc_buckets(
        self, *, regions: Sequence[str] = (), bucket_names: Sequence[str] = (), name_prefix: str = ""
    ) -> list[ServiceBucket]:
        """List the account's buckets that accept document jobs (DescribeDocProcessBuckets).

        :param regions: only buckets in these regions; ``All`` means every region.
        :param bucket_names: only buckets with these names, which include the APPID.
        """
        return self._list_buckets(DOCUMENTS, regions, bucket_names, name_prefix)

    def list_pic_buckets(
        self, *, regions: Sequence[str] = (), bucket_names: Sequence[str] = (), name_prefix: str = ""
    ) -> list[ServiceBucket]:
        """List the buckets for picture jobs (DescribePicProcessBuckets); see :meth:`list_doc_buckets`."""
        return self._list_buckets(PICTURES, regions, bucket_names, name_prefix)

    def open_doc_bucket(self) -> ServiceBucket:
        """Switch document processing on for this bucket (CreateDocProcessBucket); this creates its queue."""
        return self._open(DOCUMENTS)

    def open_pic_bucket(self) -> ServiceBucket:
        """Switch picture processing on for this bucket (CreatePicProcessBucket); this creates its queue."""
        return self._open(PICTURES)

    def close_pic_bucket(self) -> None:
        """Switch picture processing off for this bucket (DeletePicProcessBucket)."""
        self._transport.send(Request(method="DELETE", service="ci", path=PICTURES.path), nothing)

    def _list_buckets(
        self, feature: Feature, regions: Sequence[str], names: Sequence[str], prefix: str
    ) -> list[ServiceBucket]:
        filters = {"regions": ",".join(regions), "bucketNames": ",".join(names), "bucketName": prefix}

        def read(response: Response) -> Page[ServiceBucket]:
            return Page.from_response(response, f"{feature.node}List", ServiceBucket.from_node)

        def get(number: int) -> Page[ServiceBucket]:
            # Only these calls go to a host name of the region, without a bucket (1045/74910).
            request = page_request(feature.path, number, MAX_ITEMS_PER_PAGE, filters, service="region")
            return self._transport.send(request, read)

        return all_items(get)

    def _open(self, feature: Feature) -> ServiceBucket:
        request = Request(method="POST", service="ci", path=feature.path, body=b"", success=RESPONSE)
        return self._transport.send(request, lambda response: ServiceBucket.from_response(response, feature))
