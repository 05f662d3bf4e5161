"""Words of a rule that change the operation before them: pad, color, gravity, and the block of indexcrop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from airflow_provider_ci.local.convert.pictures.geometry import Bounds
from airflow_provider_ci.local.convert.pictures.limits import MAX_INPUT_SIDE, MAX_PIXELS
from airflow_provider_ci.local.convert.pictures.rules.arguments import (
    MisreadError,
    color,
    gravity,
    number,
    switch,
)
from airflow_provider_ci.local.convert.pictures.rules.operations import Crop, IndexCrop, Operation, Thumbnail


def amend(operations: list[Operation], name: str, argument: str) -> None:
    """Apply an amendment to the operation that it follows."""
    last = operations[-1] if operations else None
    operation = AMENDMENTS[name](last, argument)
    if operation is None:
        raise MisreadError(f"{name} has nothing before it that it could belong to")
    operations[-1] = operation


def _pad(last: Operation | None, argument: str) -> Operation | None:
    if not isinstance(last, Thumbnail):
        return None
    if not switch("pad", argument):
        return last
    if not (last.bounds.width and last.bounds.height):
        raise MisreadError("pad needs a thumbnail of width and height")
    return Thumbnail(last.form, last.bounds, "#FFFFFF")


def _color(last: Operation | None, argument: str) -> Operation | None:
    if not isinstance(last, Thumbnail):
        return None
    # A color without pad has nothing to fill.
    ground = color("color", argument)
    return Thumbnail(last.form, last.bounds, ground) if last.pad else last


def _gravity(last: Operation | None, argument: str) -> Operation | None:
    place = gravity("gravity", argument)
    return Crop(last.bounds, place) if isinstance(last, Crop) else None


def _block_width(last: Operation | None, argument: str) -> Operation | None:
    if not isinstance(last, IndexCrop):
        return None
    width = number("width", argument, 1, MAX_INPUT_SIDE)
    return IndexCrop(Bounds(width, last.bounds.height), last.index)


def _block_height(last: Operation | None, argument: str) -> Operation | None:
    if not isinstance(last, IndexCrop):
        return None
    height = number("height", argument, 1, MAX_INPUT_SIDE)
    return IndexCrop(Bounds(last.bounds.width, height), last.index)


def _block_index(last: Operation | None, argument: str) -> Operation | None:
    if not isinstance(last, IndexCrop):
        return None
    return IndexCrop(last.bounds, number("index", argument, 0, MAX_PIXELS))


AMENDMENTS: Final[dict[str, Callable[[Operation | None, str], Operation | None]]] = {
    "pad": _pad,
    "color": _color,
    "gravity": _gravity,
    "width": _block_width,
    "height": _block_height,
    "index": _block_index,
}
