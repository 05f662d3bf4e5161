"""Calls that list the buckets with CI's features, and switch the features on and off."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_ci.client import buckets
from airflow_provider_ci.client.buckets import Feature, ServiceBucket
from airflow_provider_ci.client.connected import Connected
from airflow_provider_ci.client.http.request import Request
from airflow_provider_ci.client.http.responses import RESPONSE, Response, nothing
from airflow_provider_ci.client.records.pages import MAX_ITEMS_PER_PAGE, Page, all_items, page_request


class BucketCalls(Connected):
    """List the buckets with document or picture processing, and switch it on for this bucket."""

    def list_doc_buckets(
        self, *, regions: Sequence[str] = (), bucket_names: Sequence[str] = (), name_prefix: str = ""
    ) -> list[ServiceBucket]:
        """Read which of the account's buckets take document jobs (DescribeDocProcessBuckets).

        :param regions: only buckets in these regions; ``All`` stands for all.
        :param bucket_names: only these, with their APPID.
        """
        return self._list_buckets(buckets.DOCUMENTS, regions, bucket_names, name_prefix)

    def list_pic_buckets(
        self, *, regions: Sequence[str] = (), bucket_names: Sequence[str] = (), name_prefix: str = ""
    ) -> list[ServiceBucket]:
        """Read which buckets take picture jobs (DescribePicProcessBuckets); see :meth:`list_doc_buckets`."""
        return self._list_buckets(buckets.PICTURES, regions, bucket_names, name_prefix)

    def open_doc_bucket(self) -> ServiceBucket:
        """Switch document processing on for this bucket (CreateDocProcessBucket); this makes its queue."""
        return self._open(buckets.DOCUMENTS)

    def open_pic_bucket(self) -> ServiceBucket:
        """Switch picture processing on for this bucket (CreatePicProcessBucket); this makes its queue."""
        return self._open(buckets.PICTURES)

    def close_pic_bucket(self) -> None:
        """Switch picture processing off for this bucket (DeletePicProcessBucket)."""
        self._transport.send(Request(method="DELETE", service="ci", path=buckets.PICTURES.path), nothing)

    def _list_buckets(
        self, feature: Feature, regions: Sequence[str], names: Sequence[str], prefix: str
    ) -> list[ServiceBucket]:
        filters = {"regions": ",".join(regions), "bucketNames": ",".join(names), "bucketName": prefix}

        def read(response: Response) -> Page[ServiceBucket]:
            return Page.from_response(response, f"{feature.node}List", ServiceBucket.from_node)

        def get(number: int) -> Page[ServiceBucket]:
            request = page_request(feature.path, number, MAX_ITEMS_PER_PAGE, filters, service="region")
            return self._transport.send(request, read)

        return all_items(get)

    def _open(self, feature: Feature) -> ServiceBucket:
        request = Request(method="POST", service="ci", path=feature.path, body=b"", success=RESPONSE)
        return self._transport.send(request, lambda response: ServiceBucket.from_response(response, feature))
