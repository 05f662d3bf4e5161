"""Reads the arguments of picture rules: numbers in a range, switches, Base64 texts; errors say why."""

from __future__ import annotations

import base64
import binascii
import re

from airflow_provider_ci.local.convert.pictures.geometry import GRAVITIES


class MisreadError(Exception):
    """An invalid argument; the text of the error says why."""


class OutsideRangeError(MisreadError):
    """A number outside its allowed range."""


class NotDoneError(Exception):
    """An operation that the service supports and the local CI does not."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} is not done by the local CI: {reason}")


def number(name: str, text: str, lowest: int, highest: int) -> int:
    """Read a whole number from ``lowest`` to ``highest``."""
    # The digits are limited, because int() is slow for a huge text.
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise MisreadError(f"{name} is {text!r}; allowed: {lowest} to {highest}")
    if not lowest <= int(text) <= highest:
        raise OutsideRangeError(f"{name} is {text!r}; allowed: {lowest} to {highest}")
    return int(text)


def switch(name: str, text: str) -> bool:
    """Read 0 or 1."""
    return number(name, text, 0, 1) == 1


def from_base64(name: str, text: str) -> str:
    """Read a text in URL-safe Base64, with or without padding."""
    padded = text + "=" * (-len(text) % 4)
    try:
        # Without ``validate`` Python skips characters that are not Base64.
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise MisreadError(f"{name} {text!r} is not URL-safe Base64 of a text") from None


def color(name: str, text: str) -> str:
    """Read a colour #RRGGBB in Base64."""
    value = from_base64(name, text)
    if not re.fullmatch(r"#[0-9A-Fa-f]{6}", value):
        raise MisreadError(f"{name} {value!r} is not of the form #RRGGBB")
    return value


def gravity(name: str, text: str) -> str:
    """Read the name of a place of the 3 x 3 grid, in upper or lower case."""
    if text.lower() not in GRAVITIES:
        raise MisreadError(f"{name} {text!r} is none of {', '.join(GRAVITIES)}")
    return text.lower()


def pairs(words: list[str]) -> list[tuple[str, str]]:
    """Pair up words that are names and values in turn."""
    if len(words) % 2:
        raise MisreadError(f"{words[-1]} needs a value")
    return list(zip(words[::2], words[1::2], strict=True))
