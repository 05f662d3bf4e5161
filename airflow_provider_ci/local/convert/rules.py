"""Picture rules: the text of a rule read into typed steps; what makes no sense is refused with its place.

The syntax is the one of the service's picture pages: ``imageMogr2/...`` (several operations in a row) and
``imageView2/...``, joined by ``|`` to at most ten steps.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Final

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.geometry import GRAVITIES, THUMBNAILS, Bounds
from airflow_provider_ci.local.convert.operations import (
    AutoOrient,
    Blur,
    Crop,
    Cut,
    Flip,
    Format,
    IgnoreError,
    Interlace,
    Operation,
    Quality,
    Rotate,
    Step,
    Strip,
    Thumbnail,
    Tone,
    View,
)

MAX_STEPS: Final = 10
MAX_OUTPUT_SIDE: Final = 9_999
FORMATS: Final = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP"}
_MAX_PERCENT: Final = 1000
_MAX_PIXEL_BUDGET: Final = 250_000_000


class _Misread(Exception):  # noqa: N818 - never leaves this module
    """An argument that makes no sense; its text says why."""


def parse_rule(rule: str) -> tuple[Step, ...]:
    """Read a rule into its steps, or raise ConversionError naming the step and what is wrong with it."""
    texts = rule.split("|")
    if len(texts) > MAX_STEPS:
        raise ConversionError(
            errors.INVALID_RULE, f"the rule has {len(texts)} steps; the limit is {MAX_STEPS}"
        )
    return tuple(_parse_step(number, text.strip()) for number, text in enumerate(texts, start=1))


def output_format(steps: tuple[Step, ...]) -> str:
    """Give the format that the rule ends in, or an empty string where it keeps the source's."""
    formats = [op.name for step in steps for op in step.operations if isinstance(op, Format)]
    return formats[-1] if formats else ""


def _parse_step(number: int, text: str) -> Step:
    name, _, rest = text.partition("/")
    words = rest.removesuffix("/").split("/") if rest else []
    place = f"step {number} {text!r}"
    try:
        if name == "imageMogr2":
            return Step(text, tuple(_parse_operations(words)))
        if name == "imageView2":
            return Step(text, tuple(_parse_view(words)))
    except _Misread as error:
        raise ConversionError(errors.INVALID_RULE, f"{place}: {error}") from None
    except _NotDoneError as error:
        raise ConversionError(errors.UNSUPPORTED_RULE, f"{place}: {error}") from None
    if name in _STEPS_NOT_DONE:
        raise ConversionError(errors.UNSUPPORTED_RULE, f"{place}: {name} is not done by the local CI")
    raise ConversionError(
        errors.INVALID_RULE, f"{place}: {name!r} is no picture operation; use imageMogr2 or imageView2"
    )


class _NotDoneError(Exception):
    """An operation that the service has and the local CI has not."""


_STEPS_NOT_DONE: Final = ("watermark", "style", "imageInfo", "exif", "imageAve")
_OPERATIONS_NOT_DONE: Final = ("iradius", "rradius", "scrop", "cgif", "size-limit", "indexcrop")
_FORMATS_NOT_DONE: Final = ("yjpeg", "tpg", "heif", "avif", "svgc")
_FLAGS: Final[dict[str, Operation]] = {"auto-orient": AutoOrient(), "strip": Strip()}


def _parse_operations(words: list[str]) -> list[Operation]:
    if not words:
        raise _Misread("no operation is given")
    operations: list[Operation] = []
    rest = iter(words)
    for name in rest:
        if name in _FLAGS:
            operations.append(_FLAGS[name])
        elif name in _AMENDMENTS:
            _amend(operations, name, next(rest, ""))
        else:
            operations += _parse_operation(name, next(rest, None))
    return operations


def _parse_operation(name: str, argument: str | None) -> list[Operation]:
    if name in _OPERATIONS_NOT_DONE:
        raise _NotDoneError(f"{name} is not done by the local CI")
    if name not in _PARSERS:
        raise _Misread(f"{name!r} is no operation of imageMogr2")
    if argument is None:
        raise _Misread(f"{name} needs a value")
    return _PARSERS[name](argument)


def _amend(operations: list[Operation], name: str, argument: str) -> None:
    """Apply pad, color or gravity to the operation that it follows."""
    last = operations[-1] if operations else None
    operation = _AMENDMENTS[name](last, argument)
    if operation is None:
        raise _Misread(f"{name} has nothing before it that it could belong to")
    operations[-1] = operation


def _pad(last: Operation | None, argument: str) -> Operation | None:
    if not isinstance(last, Thumbnail):
        return None
    if not _switch("pad", argument):
        return last
    if not (last.bounds.width and last.bounds.height):
        raise _Misread("pad needs a thumbnail of width and height")
    return Thumbnail(last.form, last.bounds, "#FFFFFF")


def _color(last: Operation | None, argument: str) -> Operation | None:
    if not isinstance(last, Thumbnail):
        return None
    color = _from_base64("color", argument)
    if not re.fullmatch(r"#[0-9A-Fa-f]{6}", color):
        raise _Misread(f"color {color!r} is not of the form #RRGGBB")
    return Thumbnail(last.form, last.bounds, color) if last.pad else last


def _gravity(last: Operation | None, argument: str) -> Operation | None:
    if argument.lower() not in GRAVITIES:
        raise _Misread(f"gravity {argument!r} is none of {', '.join(GRAVITIES)}")
    return Crop(last.bounds, argument.lower()) if isinstance(last, Crop) else None


_AMENDMENTS: Final[dict[str, Callable[[Operation | None, str], Operation | None]]] = {
    "pad": _pad,
    "color": _color,
    "gravity": _gravity,
}


def _from_base64(name: str, text: str) -> str:
    padded = text + "=" * (-len(text) % 4)
    try:
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise _Misread(f"{name} {text!r} is not URL-safe Base64") from None


def _number(name: str, text: str, lowest: int, highest: int) -> int:
    if not re.fullmatch(r"-?\d{1,9}", text) or not lowest <= int(text) <= highest:
        raise _Misread(f"{name} is {text!r}; allowed: {lowest} to {highest}")
    return int(text)


def _switch(name: str, text: str) -> bool:
    return _number(name, text, 0, 1) == 1


def _thumbnail(argument: str) -> list[Operation]:
    for form, (pattern, _) in THUMBNAILS.items():
        match = re.fullmatch(pattern, argument)
        if match:
            sides = match.groupdict()
            highest = _highest_of_thumbnail(form)
            values = [
                _number("thumbnail", text, 1, highest)
                if (text := sides.get(side) or sides.get(f"{side}1"))
                else 0
                for side in "wh"
            ]
            return [Thumbnail(form, Bounds(*values))]
    raise _Misread(f"thumbnail {argument!r} has none of its forms, like 300x200, !50p or 300x")


def _highest_of_thumbnail(form: str) -> int:
    if form == "pixel_budget":
        return _MAX_PIXEL_BUDGET
    return _MAX_PERCENT if form.endswith("percent") else MAX_OUTPUT_SIDE


def _crop(argument: str) -> list[Operation]:
    match = re.fullmatch(r"(\d*)x(\d*)", argument)
    if not match or not (match[1] or match[2]):
        raise _Misread(f"crop {argument!r} is not of the form 300x200, 300x or x200")
    width, height = (_number("crop", text, 1, 30_000) if text else 0 for text in match.groups())
    return [Crop(Bounds(width, height))]


def _cut(argument: str) -> list[Operation]:
    match = re.fullmatch(r"(\d+)x(\d+)x(\d+)x(\d+)", argument)
    if not match:
        raise _Misread(f"cut {argument!r} is not of the form WIDTHxHEIGHTxDXxDY")
    width, height = (_number("cut", match[part], 1, 30_000) for part in (1, 2))
    left, top = (_number("cut", match[part], 0, 30_000) for part in (3, 4))
    return [Cut(Bounds(width, height), left, top)]


def _flip(argument: str) -> list[Operation]:
    if argument not in ("vertical", "horizontal"):
        raise _Misread(f"flip is {argument!r}; allowed: vertical, horizontal")
    return [Flip(argument == "vertical")]


def _format(argument: str) -> list[Operation]:
    name = argument.lower()
    if name in _FORMATS_NOT_DONE:
        raise _NotDoneError(f"format {name} is not done by the local CI")
    if name not in FORMATS:
        raise _Misread(f"format is {argument!r}; allowed: {', '.join(FORMATS)}")
    return [Format(FORMATS[name])]


def _quality(argument: str) -> list[Operation]:
    kind = "forced" if argument.endswith("!") else "at_most"
    return [Quality(kind, _number("quality", argument.removesuffix("!"), 0, 100))]


def _blur(argument: str) -> list[Operation]:
    match = re.fullmatch(r"(\d+)x(\d{1,4}(?:\.\d{1,4})?)", argument)
    if not match or float(match[2]) <= 0:
        raise _Misread(f"blur {argument!r} is not of the form RADIUSxSIGMA with a sigma over 0")
    return [Blur(_number("blur radius", match[1], 1, 50), float(match[2]))]


def _tone(kind: str, lowest: int, highest: int) -> Callable[[str], list[Operation]]:
    return lambda argument: [Tone(kind, _number(kind, argument, lowest, highest))]


def _ignore_error(argument: str) -> list[Operation]:
    return [IgnoreError()] if _switch("ignore-error", argument) else []


_PARSERS: Final[dict[str, Callable[[str], list[Operation]]]] = {
    "thumbnail": _thumbnail,
    "crop": _crop,
    "cut": _cut,
    "rotate": lambda argument: [Rotate(_number("rotate", argument, 0, 360))],
    "flip": _flip,
    "format": _format,
    "interlace": lambda argument: [Interlace(_switch("interlace", argument))],
    "quality": _quality,
    "rquality": lambda argument: [Quality("relative", _number("rquality", argument, 0, 100))],
    "lquality": lambda argument: [Quality("at_least", _number("lquality", argument, 0, 100))],
    "blur": _blur,
    "sharpen": _tone("sharpen", 10, 300),
    "bright": _tone("bright", -100, 100),
    "contrast": _tone("contrast", -100, 100),
    "grayscale": _tone("grayscale", 0, 1),
    "ignore-error": _ignore_error,
}
# the short names of imageView2 that mean an operation of imageMogr2
_VIEW_WORDS: Final = {
    "format": "format",
    "q": "quality",
    "rq": "rquality",
    "lq": "lquality",
    "ignore-error": "ignore-error",
}


def _parse_view(words: list[str]) -> list[Operation]:
    mode = _number("the mode of imageView2", words[0] if words else "", 1, 5)
    sides = {"w": 0, "h": 0}
    operations: list[Operation] = []
    for name, argument in _pairs(words[1:]):
        if name in sides:
            sides[name] = _number(name, argument, 1, MAX_OUTPUT_SIDE)
        elif name in _VIEW_WORDS:
            operations += _PARSERS[_VIEW_WORDS[name]](argument)
        else:
            raise _Misread(f"{name!r} is no parameter of imageView2")
    if not any(sides.values()):
        raise _Misread("imageView2 needs w or h")
    return [View(mode, Bounds(sides["w"], sides["h"])), *operations]


def _pairs(words: list[str]) -> list[tuple[str, str]]:
    if len(words) % 2:
        raise _Misread(f"{words[-1]} needs a value")
    return list(zip(words[::2], words[1::2], strict=True))
