"""Restores the types of operator arguments when the task runs.

Every argument may be an Airflow template, and a rendered template is text. Each function in this module takes
the name and the value of an argument, and returns the value with its type. If the value is invalid, the
function raises an error that names the argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airflow_provider_ci.client.records import checks

Reader = Callable[[str, Any], Any]
Seconds = float | timedelta | str
"""A duration: seconds, a timedelta, or a template of either."""

_CLOCK = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?)")
"""The text form of a timedelta, which is what a template renders it to."""


def anything(name: str, value: Any) -> Any:
    """Return the value unchanged; the code that uses the value checks it."""
    return value


def text(name: str, value: Any) -> str:
    """Return a text, also from a number: native rendering turns a text such as ``20261126`` into a number."""
    with checks.no_templates():
        found = checks.text(name, value)
    if found is None:
        raise ValueError(f"{name} is None, not a text")
    return str(found)


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Return several texts; a rendered template may have joined them into one text with commas."""
    if value is None:
        return ()
    if isinstance(value, str):
        value = checks.parts(value)
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{name} must be a list of texts, not {value!r}")
    return tuple(text(name, item) for item in value if item != "")


def flag(name: str, value: Any) -> bool:
    """Return a boolean from a boolean or its text, such as ``True``, ``false``, ``yes``, ``0``."""
    with checks.no_templates():
        found = checks.flag(name, value)
    if found is None:
        raise ValueError(f"{name} must be true or false, not None")
    return bool(found)


def whole_number(lowest: int = -(2**63), highest: int | None = None) -> Reader:
    """Make a reader of whole numbers in a range, or of their texts."""

    def read(name: str, value: Any) -> int:
        if value is None:
            raise ValueError(f"{name} must be a whole number, not None")
        with checks.no_templates():
            return int(checks.number(name, value, lowest, highest))

    return read


def seconds(name: str, value: Any) -> float:
    """Return a duration in seconds from a number, a timedelta, or the text of either."""
    if isinstance(value, timedelta):
        found: float | None = value.total_seconds()
    else:
        found = _seconds_in(value)
    if found is None or not 0 <= found < float("inf"):
        raise ValueError(
            f"{name} must be a number of seconds or a timedelta, not negative, but it is {value!r}"
        )
    return found


def rate(name: str, value: Any) -> float:
    """Return a number above 0, from a number or its text."""
    try:
        # True is a number in Python, but not a valid rate.
        found = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = 0.0
    if not 0 < found < float("inf"):
        raise ValueError(f"{name} must be a number above 0, not {value!r}")
    return found


def one_of(*allowed: str) -> Reader:
    """Make a reader that accepts only these texts."""

    def read(name: str, value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
        return str(value)

    return read


def optional(read: Reader) -> Reader:
    """Make a reader that also accepts None."""
    return lambda name, value: None if value is None else read(name, value)


def share_or(read: Reader) -> Reader:
    """Make a reader that accepts a percentage such as ``5%``, and everything that ``read`` accepts."""

    def read_either(name: str, value: Any) -> Any:
        if isinstance(value, str) and "%" in value:
            return value.strip()
        try:
            return read(name, value)
        except ValueError as error:
            raise ValueError(f"{error}; a percentage is a text such as '5%'") from None

    return read_either


def _seconds_in(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and (match := _CLOCK.fullmatch(value.strip())):
        days, hours, minutes, rest = match.groups()
        return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(rest)
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
