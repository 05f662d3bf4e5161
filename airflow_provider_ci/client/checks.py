"""Checks of what users pass in, made when a record is built.

A text that holds ``{{`` is an Airflow template: it is let through, and checked when the record is built
again from what the template became.
"""

from __future__ import annotations

import re
from collections.abc import Collection

MAX_KEY_BYTES = 850
MAX_USER_DATA = 1024

_NOT_IN_KEY = re.compile(r"[\x18-\x1b]")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]+")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")


def is_template(value: object) -> bool:
    """Whether this is an Airflow template that is not rendered yet."""
    return isinstance(value, str) and "{{" in value


def one_of(name: str, value: object, allowed: Collection[object]) -> None:
    """Refuse a value that is not in the list, unless it is None or a template."""
    if value is not None and value not in allowed and not is_template(value):
        raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, not {value!r}")


def number(
    name: str, value: object, lowest: int, highest: int | None = None, *, also: int | None = None
) -> object:
    """A number in its range, also where a rendered template left it as text; None and templates pass."""
    if value is None or is_template(value):
        return value
    try:
        found = int(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, int) or isinstance(found, bool):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    if found != also and (found < lowest or (highest is not None and found > highest)):
        bounds = f"at least {lowest}" if highest is None else f"from {lowest} to {highest}"
        raise ValueError(f"{name} must be {bounds}{f' or {also}' if also is not None else ''}, not {value!r}")
    return found


def object_key(name: str, value: object) -> None:
    """Refuse what cannot be an object's key (tencentcloud.com document/product/436/13324)."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a non-empty object key, not {value!r}")
    size = len(value.encode())
    if size > MAX_KEY_BYTES:
        raise ValueError(
            f"{name} has {size} bytes, an object key has at most {MAX_KEY_BYTES}: {value[:60]!r}…"
        )
    if _NOT_IN_KEY.search(value):
        raise ValueError(f"{name} {value!r} holds a control character that an object key cannot have")


def user_data(value: str | None) -> None:
    """Refuse user data that the service would not echo: printable ASCII, at most 1,024 characters."""
    if value is not None and (len(value) > MAX_USER_DATA or not _PRINTABLE.fullmatch(value)):
        raise ValueError(
            f"user_data must be printable ASCII of at most {MAX_USER_DATA} characters: {value[:60]!r}"
        )


def identifier(name: str, value: str) -> None:
    """Refuse what cannot be the id of a job or a queue, such as an empty text or a path."""
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise ValueError(f"{name} must be an id such as d followed by 32 hex digits, not {value!r}")


def header(name: str, value: str) -> str:
    """A header's value, refused if it is not printable ASCII."""
    if not _PRINTABLE.fullmatch(value):
        raise ValueError(f"{name} must be printable ASCII, not {value!r}")
    return value
