"""The pages of a job listing: their tokens, and the odd pages that traits add."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http.traits import Traits
from airflow_provider_ci.local.http.wire import Value

_TOKEN = re.compile(r"(s|[0-9]{1,12})(?:-([0-9]{1,12}))?")


class Place(NamedTuple):
    """Where a page begins: after job ``after`` (None: at the start) and ``empty_pages`` empty pages."""

    after: int | None = None
    empty_pages: int = 0

    @property
    def token(self) -> str:
        """The ``nextToken`` that leads to this place."""
        start = "s" if self.after is None else str(self.after)
        return f"{start}-{self.empty_pages}" if self.empty_pages else start


def read_token(token: str) -> Place:
    """The place that a ``nextToken`` leads to; an empty token leads to the start."""
    if not token:
        return Place()
    match = _TOKEN.fullmatch(token)
    if not match:
        raise ServiceError("InvalidArgument", f"nextToken {token!r} does not come from a listing")
    start, empty_pages = match.groups()
    return Place(None if start == "s" else int(start), int(empty_pages or 0))


def place_after_empty_page(place: Place, traits: Traits) -> Place | None:
    """The next place if this page has to be empty; None if this page is a real one."""
    if place.empty_pages >= traits.empty_pages:
        return None
    return place._replace(empty_pages=place.empty_pages + 1)


def last_token(place: Place, last_job: int | None, traits: Traits) -> str:
    """The token on the last page of a listing: none, unless tokens are endless."""
    end = Place(last_job if last_job is not None else place.after or 0)
    if traits.endless_tokens == "same":
        return end.token
    if traits.endless_tokens == "new":
        return end._replace(empty_pages=max(place.empty_pages, traits.empty_pages) + 1).token
    return ""


def foreign_jobs(tag: str, bucket: str, queue_id: str) -> list[Mapping[str, Value]]:
    """Three jobs that a strict reader cannot read: with an odd state, an odd time, and an odd result."""
    job: dict[str, Value] = {
        "Code": "Success",
        "CreationTime": "2020-01-01T00:00:00+0800",
        "EndTime": "-",
        "Input": {"BucketId": bucket, "Object": "foreign/a.docx", "Region": ""},
        "Message": "",
        "Operation": {"Output": {"Bucket": bucket, "Object": "foreign/a", "Region": ""}},
        "QueueId": queue_id,
        "StartTime": "-",
        "State": "Success",
        "Tag": tag,
    }
    page: Value = {f"{tag}Result": {"PageInfo": {"PageNo": "1"}}}
    odd: list[Mapping[str, Value]] = [{"State": "Archived"}, {"CreationTime": "-"}, {"Operation": page}]
    return [{**job, "JobId": f"f{number:032x}", **change} for number, change in enumerate(odd)]
