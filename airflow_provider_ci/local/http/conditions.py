"""Conditional requests and ranges of objects, as RFC 9110 defines them."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http.request import Request
from airflow_provider_ci.local.objects.store import StoredObject

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def check(request: Request, found: StoredObject, modified: float) -> None:
    """Check the conditional headers in the order of RFC 9110: ETag conditions override time conditions.

    :param modified: when the object was written, by the service's clock, in Unix seconds.
    """
    if match := request.header("If-Match"):
        _precondition(_names_etag(match, found.etag), "If-Match")
    elif since := _time(request.header("If-Unmodified-Since")):
        _precondition(int(modified) <= since, "If-Unmodified-Since")
    if none_match := request.header("If-None-Match"):
        fresh = _names_etag(none_match, found.etag)
    else:
        since = _time(request.header("If-Modified-Since"))
        fresh = since is not None and int(modified) <= since
    if fresh:
        raise ServiceError("NotModified", "", status=304, headers={"ETag": f'"{found.etag}"'})


def _precondition(holds: bool, name: str) -> None:
    if not holds:
        raise ServiceError("PreconditionFailed", f"the condition {name} does not hold")


def _names_etag(text: str, etag: str) -> bool:
    return any(item.strip().removeprefix("W/").strip('"') in (etag, "*") for item in text.split(","))


def _time(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (TypeError, ValueError):
        return None


def requested_range(request: Request, size: int) -> tuple[int, int, int]:
    """Return status, offset and length to send; a malformed range is ignored (RFC 9110)."""
    match = _RANGE.fullmatch(request.header("Range").replace(" ", ""))
    if not match or match.groups() == ("", ""):
        return 200, 0, size
    first, last = match.groups()
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last), size - 1) if first and last else size - 1
    if start >= size or (first and last and int(last) < start) or (not first and int(last) == 0):
        raise ServiceError("InvalidRange", f"range {match.group(0)} does not lie within {size} bytes")
    return 206, start, end - start + 1
