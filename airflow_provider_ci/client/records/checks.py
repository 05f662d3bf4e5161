"""Checks of arguments that users pass; they run when a record is built.

A text that contains ``{{`` or ``{%`` is an Airflow template, and an object with a ``resolve`` method is a
placeholder for another task's result. Both pass the checks. Their values are checked when the record is built
again, with the templates rendered.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

MAX_KEY_BYTES = 850
MAX_USER_DATA = 1024

_NOT_IN_KEY = re.compile(r"[\x18-\x1b]")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]+")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_FLAGS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
_OPENING = ("[", "(", "{")
_ALL_RENDERED: ContextVar[bool] = ContextVar("all templates are rendered", default=False)


@contextmanager
def no_templates() -> Iterator[None]:
    """Within this block, treat text with braces as the output of a template, not as a template."""
    token = _ALL_RENDERED.set(True)
    try:
        yield
    finally:
        _ALL_RENDERED.reset(token)


def is_template(value: object) -> bool:
    """Whether the value is an Airflow template or another task's result, and so is not known yet."""
    if _ALL_RENDERED.get():
        return False
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    return callable(getattr(value, "resolve", None))


def was_template() -> bool:
    """Whether the record is being built from rendered templates, so that numbers and lists may be text."""
    return _ALL_RENDERED.get()


def as_written(value: Any) -> Any:
    """Parse a list or a dict that a template rendered to text; return any other value unchanged.

    The text may be a Python literal or JSON.
    """
    if not isinstance(value, str) or not value.strip().startswith(_OPENING):
        return value
    for read in (ast.literal_eval, json.loads):
        with suppress(SyntaxError, ValueError):
            found = read(value.strip())
            if isinstance(found, (list, tuple, set, dict)):  # "(2026)" is only a number in brackets
                return found
    return value


def parts(value: str) -> list[Any]:
    """Return the items of a list that a template rendered to text, or the parts of a comma-separated text."""
    found = as_written(value)
    if isinstance(found, (list, tuple)):
        return list(found)
    if isinstance(found, set):
        return sorted(found)
    return [part for each in value.strip(" []()").split(",") if (part := each.strip(" '\""))]


def text(name: str, value: Any) -> Any:
    """Check a text; a number, which a template may produce, is converted. None and templates pass."""
    if value is None or is_template(value) or isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{name} must be a text, not {value!r}")


def flag(name: str, value: Any) -> Any:
    """Check a boolean, or convert it from the text of a rendered template. None and templates pass."""
    if value is None or is_template(value) or isinstance(value, bool):
        return value
    found = _FLAGS.get(str(value).strip().lower())
    if found is None:
        raise ValueError(f"{name} must be true or false, not {value!r}")
    return found


def one_of(name: str, value: object, allowed: Collection[object]) -> None:
    """Reject a value that is not in the list. None and templates pass."""
    if value is not None and value not in allowed and not is_template(value):
        raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, not {value!r}")


def required(name: str, value: object) -> None:
    """Reject None and an empty text. Templates pass."""
    if value in (None, ""):
        raise ValueError(f"{name} is required, but it is {value!r}")


def number(name: str, value: Any, lowest: int, highest: int | None = None, *, also: int | None = None) -> Any:
    """Check a number's range, and convert it from a rendered template's text. None and templates pass."""
    if value is None or is_template(value):
        return value
    try:
        found = float(value) if isinstance(value, str) and "." in value else value
        found = int(found) if isinstance(found, str) else found
    except ValueError:
        found = None
    if isinstance(found, float) and found.is_integer():  # JSON has only one type of number
        found = int(found)
    if not isinstance(found, int) or isinstance(found, bool):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    if found != also and (found < lowest or (highest is not None and found > highest)):
        bounds = f"at least {lowest}" if highest is None else f"from {lowest} to {highest}"
        raise ValueError(f"{name} must be {bounds}{f' or {also}' if also is not None else ''}, not {value!r}")
    return found


def object_key(name: str, value: object) -> None:
    """Reject a value that cannot be an object's key (tencentcloud.com document/product/436/13324)."""
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
    """Reject user data that the service does not echo: it echoes up to 1,024 printable ASCII characters."""
    if value is not None and (len(value) > MAX_USER_DATA or not _PRINTABLE.fullmatch(value)):
        raise ValueError(
            f"user_data must be printable ASCII of at most {MAX_USER_DATA} characters: {value[:60]!r}"
        )


def identifier(name: str, value: str) -> None:
    """Reject a value that cannot be the id of a job or a queue, such as an empty text or a path."""
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise ValueError(f"{name} must be an id such as d followed by 32 hex digits, not {value!r}")


def header(name: str, value: str) -> str:
    """Reject a header's value that is not printable ASCII."""
    if not _PRINTABLE.fullmatch(value):
        raise ValueError(f"{name} must be printable ASCII, not {value!r}")
    return value
