"""Listings with numbered pages, of queues, buckets and templates; other listings use tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

from airflow_provider_ci.client.http.address import Service
from airflow_provider_ci.client.http.request import Request
from airflow_provider_ci.client.http.responses import RESPONSE, Response
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.wire import nodes

T = TypeVar("T")

MAX_ITEMS_PER_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page of a listing.

    ``total_count`` is the number of items on all pages, None if the service does not report it. ``missing``
    holds the requested ids that do not exist.
    """

    items: tuple[T, ...]
    total_count: int | None
    missing: tuple[str, ...]
    request_id: str

    @classmethod
    def from_response(cls, response: Response, name: str, read: Callable[[nodes.Tree, str], T]) -> Page[T]:
        """Read a ``Response`` whose items are in nodes called ``name``."""
        request_id = response.request_id
        node = response.tree
        return cls(
            items=tuple([read(item, request_id) for item in nodes.children(node, name)]),
            total_count=nodes.integer(node, "TotalCount"),
            missing=tuple(_missing(node)),
            request_id=request_id,
        )


def page_request(
    path: str, number: int, size: int, filters: Mapping[str, str], *, service: Service = "ci"
) -> Request:
    """Return the request for a page. Empty filters are left out."""
    checks.number("page_number", number, 1)
    checks.number("page_size", size, 1, MAX_ITEMS_PER_PAGE)
    wanted = {**filters, "pageNumber": str(number), "pageSize": str(size)}
    params = tuple([(name, value) for name, value in wanted.items() if value])
    return Request(method="GET", service=service, path=path, params=params, success=RESPONSE)


def all_items(get: Callable[[int], Page[T]]) -> list[T]:
    """Return the items of all pages, without duplicates. The first page has the number 1."""
    items: dict[T, None] = {}
    for number in count(1):
        page, known = get(number), len(items)
        items.update(dict.fromkeys(page.items))
        # A server that ignores the page number would send the same page for ever.
        if len(items) == known or page.total_count is None or len(items) >= page.total_count:
            break
    return list(items)


def _missing(node: nodes.Tree) -> list[str]:
    """Return the ids in ``NonExistPIDs``.

    The API page of picture queues and the SDKs show repeated texts, the page of document queues shows a
    container of ids.
    """
    boxes = nodes.children(node, "NonExistPIDs")
    inside = [each for box in boxes for name in ("QueueID", "QueueId") for each in nodes.texts(box, name)]
    return nodes.texts(node, "NonExistPIDs") + inside
