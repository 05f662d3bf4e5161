"""The pages of a job listing: their tokens, and the odd pages of a trait."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http.traits import Traits
from airflow_provider_ci.local.http.wire import Value

_TOKEN = re.compile(r"(s|[0-9]{1,12})(?:-([0-9]{1,12}))?")


class Place(NamedTuple):
    """Where a page begins: behind job number ``after`` (None: at the start) and after ``empty_pages``."""

    after: int | None = None
    empty_pages: int = 0

    @property
    def token(self) -> str:
        """The ``nextToken`` that leads here."""
        start = "s" if self.after is None else str(self.after)
        return f"{start}-{self.empty_pages}" if self.empty_pages else start


def read_token(token: str) -> Place:
    """The place that a ``nextToken`` leads to; the start for an empty one."""
    if not token:
        return Place()
    match = _TOKEN.fullmatch(token)
    if not match:
        raise ServiceError("InvalidArgument", f"nextToken {token!r} does not come from a listing")
    start, empty_pages = match.groups()
    return Place(None if start == "s" else int(start), int(empty_pages or 0))


def place_after_empty_page(place: Place, traits: Traits) -> Place | None:
    """The next place if an empty page comes first; None if the page here is a real one."""
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
    """Three jobs that a strict reader cannot read: one with an odd state, time, and result each."""
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
