"""Parses the rules ``watermark/1`` (an image, 1045/33720) and ``watermark/2`` (a text, 1045/33721)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from airflow_provider_ci.local.convert.pictures import limits
from airflow_provider_ci.local.convert.pictures.rules import arguments
from airflow_provider_ci.local.convert.pictures.rules.arguments import MisreadError, NotDoneError
from airflow_provider_ci.local.convert.pictures.rules.operations import (
    ImageWatermark,
    Operation,
    Placement,
    TextWatermark,
)

# Limits of our own, because the page names none.
MAX_FONT_SIZE: Final = 1000
MAX_TEXT: Final = 1000
_Reader = Callable[[str, str], Any]


def parse_watermark(words: list[str]) -> list[Operation]:
    """Read the words that follow ``watermark/``."""
    kind, *rest = words or [""]
    if kind not in _KINDS:
        raise MisreadError(f"the type of a watermark is {kind!r}; allowed: 1 (image), 2 (text)")
    return [_KINDS[kind](arguments.pairs(rest))]


def _text(name: str, argument: str) -> str:
    text = arguments.from_base64(name, argument)
    if not text.strip():
        raise MisreadError(f"{name} {text!r} has nothing to be seen")
    if len(text) > MAX_TEXT:
        raise MisreadError(f"{name} has {len(text)} characters; the limit is {MAX_TEXT}")
    return text


def _url(name: str, argument: str) -> str:
    url = arguments.from_base64(name, argument)
    # The page requires http:// and an object of the same bucket (1045/33720).
    if not re.fullmatch(r"http://[^/\s?#]+/[^\s?#]+", url) or not _has_host(url):
        raise MisreadError(f"{name} {url!r} is not the address of an object, http://HOST/KEY")
    return url


def _has_host(url: str) -> bool:
    try:
        # urlsplit raises for a malformed IPv6 address.
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _within(lowest: int, highest: int) -> _Reader:
    return lambda name, argument: arguments.number(name, argument, lowest, highest)


_PLACEMENT: Final[dict[str, _Reader]] = {
    "gravity": arguments.gravity,
    "dx": _within(0, limits.MAX_INPUT_SIDE),
    "dy": _within(0, limits.MAX_INPUT_SIDE),
    "dissolve": _within(1, 100),
    "batch": arguments.switch,
    "degree": _within(0, 360),
}
_IMAGE: Final[dict[str, _Reader]] = {
    "image": _url,
    "blogo": _within(1, 2),
    "scatype": _within(1, 3),
    "spcent": _within(1, 1000),
}
_TEXT: Final[dict[str, _Reader]] = {
    "text": _text,
    "font": arguments.from_base64,
    "fontsize": _within(1, MAX_FONT_SIZE),
    "fill": arguments.color,
    "shadow": _within(0, 100),
}


def _values(pairs: list[tuple[str, str]], own: dict[str, _Reader], required: str) -> dict[str, Any]:
    readers = {**_PLACEMENT, **own}
    unknown = [name for name, _ in pairs if name not in readers]
    if unknown:
        raise MisreadError(f"{unknown[0]!r} is no parameter of this watermark")
    values = {name: readers[name](name, argument) for name, argument in pairs}
    if required not in values:
        raise MisreadError(f"{required} is missing")
    placement = Placement(**{name: values.pop(name) for name in _PLACEMENT if name in values})
    return {**values, "placement": placement}


def _image_watermark(pairs: list[tuple[str, str]]) -> ImageWatermark:
    values = _values(pairs, _IMAGE, "image")
    if ("scatype" in values) != ("spcent" in values):
        raise MisreadError("scatype and spcent need each other")
    if values.get("scatype") == 3:
        # The page allows only 250 thousandths of an area (1045/33720).
        arguments.number("spcent of an area", str(values["spcent"]), 1, 250)
    return ImageWatermark(url=values.pop("image"), **values)


def _text_watermark(pairs: list[tuple[str, str]]) -> TextWatermark:
    return TextWatermark(**_values(pairs, _TEXT, "text"))


def _blind_watermark(_: list[tuple[str, str]]) -> Operation:
    raise NotDoneError("watermark/3 (blind)", "how the service hides a watermark is not public")


_KINDS: Final[dict[str, Callable[[list[tuple[str, str]]], Operation]]] = {
    "1": _image_watermark,
    "2": _text_watermark,
    "3": _blind_watermark,
}
