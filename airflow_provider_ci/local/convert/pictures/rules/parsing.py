"""Parses the text of a picture rule into typed steps; an error names the step.

The syntax follows the service's picture pages. A rule has at most ten steps, joined by ``|``. A step is
``imageMogr2/...`` (several operations in a row), ``imageView2/...`` or ``watermark/...``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.pictures.geometry import THUMBNAILS, Bounds
from airflow_provider_ci.local.convert.pictures.limits import MAX_INPUT_SIDE, MAX_OUTPUT_SIDE, MAX_PIXELS
from airflow_provider_ci.local.convert.pictures.rules.amendments import AMENDMENTS, amend
from airflow_provider_ci.local.convert.pictures.rules.arguments import (
    MisreadError,
    NotDoneError,
    OutsideRangeError,
    number,
    pairs,
    switch,
)
from airflow_provider_ci.local.convert.pictures.rules.operations import (
    AutoOrient,
    Blur,
    Circle,
    Crop,
    Cut,
    Flip,
    Format,
    FrameLimit,
    IgnoreError,
    IndexCrop,
    Interlace,
    Operation,
    Quality,
    Rotate,
    RoundCorners,
    SizeLimit,
    Step,
    Strip,
    Thumbnail,
    Tone,
    View,
)
from airflow_provider_ci.local.convert.pictures.rules.watermarks import parse_watermark

MAX_STEPS: Final = 10
FORMATS: Final = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP"}
_MAX_PERCENT: Final = 1000
# ``cgif/1`` means 30 frames; any other value is the number of frames (1045/33716).
_FRAMES_BY_DEFAULT: Final = 30
# 1k is 1,024 bytes (1045/40716).
_UNITS: Final = {"k": 1024, "m": 1024**2}


class ValueOutsideRangeError(ConversionError):
    """A rule with a number outside its range, which ``ignore-error/1`` tolerates."""


def parse_rule(rule: str) -> tuple[Step, ...]:
    """Parse a rule into its steps; a ConversionError names the step and the fault."""
    texts = rule.split("|")
    if len(texts) > MAX_STEPS:
        raise ConversionError(
            errors.INVALID_RULE, f"the rule has {len(texts)} steps; the limit is {MAX_STEPS}"
        )
    return tuple(_parse_step(position, text.strip()) for position, text in enumerate(texts, start=1))


def output_format(steps: tuple[Step, ...]) -> str:
    """Return the format of the rule's result, or an empty string if the rule keeps the source's format."""
    formats = [op.name for step in steps for op in step.operations if isinstance(op, Format)]
    return formats[-1] if formats else ""


def tolerates_errors(rule: str) -> bool:
    """Return whether a rule has ``ignore-error/1``, even if the rule itself is invalid."""
    return bool(re.search(r"/ignore-error/1(?=/|\||$)", rule))


def _parse_step(position: int, text: str) -> Step:
    name, _, rest = text.partition("/")
    words = rest.removesuffix("/").split("/") if rest else []
    place = f"step {position} {text!r}"
    try:
        return Step(text, tuple(_parser_of_step(name)(words)))
    except OutsideRangeError as error:
        raise ValueOutsideRangeError(errors.INVALID_RULE, f"{place}: {error}") from None
    except MisreadError as error:
        raise ConversionError(errors.INVALID_RULE, f"{place}: {error}") from None
    except NotDoneError as error:
        raise ConversionError(errors.UNSUPPORTED_RULE, f"{place}: {error}") from None


def _parser_of_step(name: str) -> Callable[[list[str]], list[Operation]]:
    if name in _STEPS_NOT_DONE:
        raise NotDoneError(name, _STEPS_NOT_DONE[name])
    if name not in _STEPS:
        raise MisreadError(f"{name!r} is no picture operation; use {', '.join(_STEPS)}")
    return _STEPS[name]


_QUERY_ONLY: Final = "it answers a GET of the object and makes no picture"
_STEPS_NOT_DONE: Final = {
    "style": "it keeps no styles; write the rule of the style instead",
    "imageInfo": _QUERY_ONLY,
    "exif": _QUERY_ONLY,
    "imageAve": _QUERY_ONLY,
}
_OPERATIONS_NOT_DONE: Final = {"scrop": "it finds no faces; use crop with a gravity, or cut"}
_FORMATS_NOT_DONE: Final = ("yjpeg", "tpg", "heif", "avif", "svgc")
# Words without a value.
_FLAGS: Final[dict[str, Operation]] = {
    "auto-orient": AutoOrient(),
    "strip": Strip(),
    "indexcrop": IndexCrop(Bounds(0, 0)),
}


def _parse_operations(words: list[str]) -> list[Operation]:
    if not words:
        raise MisreadError("no operation is given")
    operations: list[Operation] = []
    rest = iter(words)
    for name in rest:
        if name in _FLAGS:
            operations.append(_FLAGS[name])
        elif name in AMENDMENTS:
            amend(operations, name, next(rest, ""))
        else:
            operations += _parse_operation(name, next(rest, None))
    # The sizes of indexcrop come as amendments, so they are complete only here.
    if any(isinstance(operation, IndexCrop) and operation.bounds == Bounds(0, 0) for operation in operations):
        raise MisreadError("indexcrop needs width or height")
    return operations


def _parse_operation(name: str, argument: str | None) -> list[Operation]:
    if name in _OPERATIONS_NOT_DONE:
        raise NotDoneError(name, _OPERATIONS_NOT_DONE[name])
    if name not in _PARSERS:
        raise MisreadError(f"{name!r} is no operation of imageMogr2")
    if argument is None:
        raise MisreadError(f"{name} needs a value")
    return _PARSERS[name](argument)


def _thumbnail(argument: str) -> list[Operation]:
    for form, (pattern, _) in THUMBNAILS.items():
        match = re.fullmatch(pattern, argument)
        if match:
            sides = match.groupdict()
            highest = _highest_of_thumbnail(form)
            values = [
                number("thumbnail", text, 1, highest)
                if (text := sides.get(side) or sides.get(f"{side}1"))
                else 0
                for side in "wh"
            ]
            return [Thumbnail(form, Bounds(*values))]
    raise MisreadError(f"thumbnail {argument!r} has none of its forms, like 300x200, !50p or 300x")


def _highest_of_thumbnail(form: str) -> int:
    if form == "pixel_budget":
        return MAX_PIXELS
    return _MAX_PERCENT if form.endswith("percent") else MAX_OUTPUT_SIDE


def _crop(argument: str) -> list[Operation]:
    match = re.fullmatch(r"([0-9]*)x([0-9]*)", argument)
    if not match or not (match[1] or match[2]):
        raise MisreadError(f"crop {argument!r} is not of the form 300x200, 300x or x200")
    width, height = (number("crop", text, 1, MAX_INPUT_SIDE) if text else 0 for text in match.groups())
    return [Crop(Bounds(width, height))]


def _cut(argument: str) -> list[Operation]:
    match = re.fullmatch(r"([0-9]+)x([0-9]+)x([0-9]+)x([0-9]+)", argument)
    if not match:
        raise MisreadError(f"cut {argument!r} is not of the form WIDTHxHEIGHTxDXxDY")
    width, height = (number("cut", match[part], 1, MAX_INPUT_SIDE) for part in (1, 2))
    left, top = (number("cut", match[part], 0, MAX_INPUT_SIDE) for part in (3, 4))
    return [Cut(Bounds(width, height), left, top)]


def _flip(argument: str) -> list[Operation]:
    if argument not in ("vertical", "horizontal"):
        raise MisreadError(f"flip is {argument!r}; allowed: vertical, horizontal")
    return [Flip(argument == "vertical")]


def _format(argument: str) -> list[Operation]:
    name = argument.lower()
    if name in _FORMATS_NOT_DONE:
        raise NotDoneError(f"format {name}", "it has no encoder for it")
    if name not in FORMATS:
        raise MisreadError(f"format is {argument!r}; allowed: {', '.join(FORMATS)}")
    return [Format(FORMATS[name])]


def _quality(argument: str) -> list[Operation]:
    kind = "forced" if argument.endswith("!") else "at_most"
    return [Quality(kind, number("quality", argument.removesuffix("!"), 0, 100))]


def _blur(argument: str) -> list[Operation]:
    match = re.fullmatch(r"([0-9]+)x([0-9]{1,4}(?:\.[0-9]{1,4})?)", argument)
    if not match or float(match[2]) <= 0:
        raise MisreadError(f"blur {argument!r} is not of the form RADIUSxSIGMA with a sigma over 0")
    return [Blur(number("blur radius", match[1], 1, 50), float(match[2]))]


def _tone(kind: str, lowest: int, highest: int) -> Callable[[str], list[Operation]]:
    return lambda argument: [Tone(kind, number(kind, argument, lowest, highest))]


def _frame_limit(argument: str) -> list[Operation]:
    count = number("cgif", argument, 1, 100)
    return [FrameLimit(_FRAMES_BY_DEFAULT, False) if count == 1 else FrameLimit(count, True)]


def _size_limit(argument: str) -> list[Operation]:
    match = re.fullmatch(r"([0-9]{1,9})([kmKM])(!?)", argument)
    if not match or not int(match[1]):
        raise MisreadError(f"size-limit {argument!r} is not of the form 15k, 15k! or 2m")
    return [SizeLimit(int(match[1]) * _UNITS[match[2].lower()], bool(match[3]))]


def _ignore_error(argument: str) -> list[Operation]:
    return [IgnoreError()] if switch("ignore-error", argument) else []


_PARSERS: Final[dict[str, Callable[[str], list[Operation]]]] = {
    "thumbnail": _thumbnail,
    "crop": _crop,
    "cut": _cut,
    "rotate": lambda argument: [Rotate(number("rotate", argument, 0, 360))],
    "flip": _flip,
    "format": _format,
    "interlace": lambda argument: [Interlace(switch("interlace", argument))],
    "quality": _quality,
    "rquality": lambda argument: [Quality("relative", number("rquality", argument, 0, 100))],
    "lquality": lambda argument: [Quality("at_least", number("lquality", argument, 0, 100))],
    "blur": _blur,
    "sharpen": _tone("sharpen", 10, 300),
    "bright": _tone("bright", -100, 100),
    "contrast": _tone("contrast", -100, 100),
    "grayscale": _tone("grayscale", 0, 1),
    "iradius": lambda argument: [Circle(number("iradius", argument, 1, MAX_INPUT_SIDE // 2))],
    "rradius": lambda argument: [RoundCorners(number("rradius", argument, 1, MAX_INPUT_SIDE // 2))],
    "cgif": _frame_limit,
    "size-limit": _size_limit,
    "ignore-error": _ignore_error,
}
# Parameter of imageView2: the operation of imageMogr2 that it means.
_VIEW_WORDS: Final = {
    "format": "format",
    "q": "quality",
    "rq": "rquality",
    "lq": "lquality",
    "ignore-error": "ignore-error",
}


def _parse_view(words: list[str]) -> list[Operation]:
    # The SDKs' samples send imageView2/format/png: without a mode there is nothing to scale.
    has_mode = bool(words) and words[0].isdecimal()
    mode = number("the mode of imageView2", words[0], 1, 5) if has_mode else 0
    sides = {"w": 0, "h": 0}
    operations: list[Operation] = []
    for name, argument in pairs(words[1:] if has_mode else words):
        if name in sides:
            sides[name] = number(name, argument, 1, MAX_OUTPUT_SIDE)
        elif name in _VIEW_WORDS:
            operations += _PARSERS[_VIEW_WORDS[name]](argument)
        else:
            raise MisreadError(f"{name!r} is no parameter of imageView2")
    if not has_mode and operations and not any(sides.values()):
        return operations
    if not has_mode:
        raise MisreadError("imageView2 needs a mode from 1 to 5 to scale by w or h")
    if not any(sides.values()):
        raise MisreadError("imageView2 needs w or h")
    return [View(mode, Bounds(sides["w"], sides["h"])), *operations]


_STEPS: Final[dict[str, Callable[[list[str]], list[Operation]]]] = {
    "imageMogr2": _parse_operations,
    "imageView2": _parse_view,
    "watermark": parse_watermark,
}
