"""Reads the dictionaries that :mod:`.xml` makes: optional and required texts, numbers and times."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache

from airflow_provider_ci.client.errors import CIResponseError
from airflow_provider_ci.client.wire.xml import Node

CHINA = timezone(timedelta(hours=8))
"""The time zone of the times in responses and of the time filters in requests."""

Tree = dict[str, Node]

# A number of up to 18 digits fits into 64 bits, and int() converts it fast.
MAX_DIGITS = 18

_INTEGER = re.compile(r"-?[0-9]{1,18}")


def text(node: Tree, name: str) -> str:
    """Return the text of a child; empty if the child is missing."""
    value = node.get(name)
    return value if isinstance(value, str) else ""


def required(node: Tree, name: str, request_id: str) -> str:
    """Return the text of a child that the API page promises.

    :raises CIResponseError: the child is missing or has no text.
    """
    value = node.get(name)
    if isinstance(value, str) and value:
        return value
    raise CIResponseError(f"the response lacks <{name}>", request_id=request_id)


def child(node: Tree, name: str) -> Tree:
    """Return the children of the first child with that name; empty if there is no such child."""
    value = node.get(name)
    if isinstance(value, list):
        value = value[0]
    return value if isinstance(value, dict) else {}


def children(node: Tree, name: str) -> list[Tree]:
    """Return all children with that name that have children themselves."""
    value = node.get(name)
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, dict)]


def texts(node: Tree, name: str) -> list[str]:
    """Return the texts of all children with that name. A comma-separated text is split."""
    # The pages do not say whether several unknown ids are repeated nodes or one comma-separated text.
    value = node.get(name)
    values = value if isinstance(value, list) else [value]
    return [part for each in values if isinstance(each, str) for part in each.split(",") if part]


def integer(node: Tree, name: str) -> int | None:
    """Return a child's number; None if the child is missing or is not a number, such as ``-``.

    It raises no error, because one field in a new format must not hide all the others.
    """
    value = text(node, name)
    if (
        value.isdecimal() and value.isascii() and len(value) <= MAX_DIGITS
    ):  # the common case; faster than catching the exception of int()
        return int(value)
    value = value.strip()
    return int(value) if _INTEGER.fullmatch(value) else None


def moment(node: Tree, name: str) -> datetime | None:
    """Return a child's time with its zone; None if the child is missing or is not a time, such as ``-``."""
    try:
        return parse_time(text(node, name))
    except ValueError:
        return None


def parse_time(value: str) -> datetime:
    """Parse ``2023-11-15T06:13:20+0800`` or ``2020-12-10T03:37:30.000Z``; the default zone is China's."""
    if value.endswith("Z"):
        return datetime.fromisoformat(value[:-1] + "+00:00")
    if value[-5:-4] in ("+", "-"):  # Python 3.10 needs a colon in the zone
        return datetime.fromisoformat(f"{value[:-2]}:{value[-2:]}")
    time = datetime.fromisoformat(value)
    return time if time.tzinfo else time.replace(tzinfo=CHINA)


def format_time(time: datetime) -> str:
    """Format an aware time for the service's filters.

    :raises ValueError: the time has no zone, so its meaning would depend on the machine.
    """
    if time.tzinfo is None:
        raise ValueError(f"{time!r} has no time zone; give an aware datetime")
    return time.astimezone(CHINA).strftime("%Y-%m-%dT%H:%M:%S%z")


# Cached: many responses within a second have the same Date.
@lru_cache(maxsize=64)
def header_time(value: str | None) -> datetime | None:
    """Return the (aware) time in an HTTP header such as Date, by default in UTC; None if it is invalid."""
    try:
        time = parsedate_to_datetime(value or "")
        time = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
        # Raises an error if the year is out of range; the calls above do not.
        time.timestamp()
    except (IndexError, TypeError, ValueError, OverflowError):
        return None
    return time
