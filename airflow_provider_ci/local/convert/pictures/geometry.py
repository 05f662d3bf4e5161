"""Sizes and boxes: computes what thumbnail, crop and quick-template rules make of a picture's size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, cos, radians, sin, sqrt
from typing import Final

Size = tuple[int, int]
Box = tuple[int, int, int, int]

GRAVITIES: Final = {
    "northwest": (0.0, 0.0), "north": (0.5, 0.0), "northeast": (1.0, 0.0),
    "west": (0.0, 0.5), "center": (0.5, 0.5), "east": (1.0, 0.5),
    "southwest": (0.0, 1.0), "south": (0.5, 1.0), "southeast": (1.0, 1.0),
}  # fmt: skip

_INWARDS: Final = {0.0: 1, 0.5: 0, 1.0: -1}


@dataclass(frozen=True, slots=True)
class Bounds:
    """The width and height in a rule; a side that the rule does not give is 0."""

    width: int
    height: int


def scaled(size: Size, factor: float) -> Size:
    """Scale both sides; each is rounded to whole pixels and stays at least 1 pixel long."""
    return rounded(size[0] * factor), rounded(size[1] * factor)


def rounded(side: float) -> int:
    """Round a side half up, to at least one pixel."""
    # Python's round() would round a half to the even number.
    return max(1, int(side + 0.5))


def fit_factor(size: Size, bounds: Bounds) -> float:
    """Return the factor at which the picture just fits inside the bounds that are given."""
    return min(_factors(size, bounds))


def cover_factor(size: Size, bounds: Bounds) -> float:
    """Return the factor at which the picture just covers the bounds."""
    return max(_factors(size, bounds))


def _factors(size: Size, bounds: Bounds) -> list[float]:
    pairs = ((bounds.width, size[0]), (bounds.height, size[1]))
    return [wanted / side for wanted, side in pairs if wanted]


def box_at(size: Size, bounds: Bounds, gravity: str) -> Box:
    """Place a box by a gravity of the 3 x 3 grid; a side of 0 in the bounds means the whole side."""
    width, height = bounds.width or size[0], bounds.height or size[1]
    across, down = GRAVITIES[gravity]
    left, top = int((size[0] - width) * across), int((size[1] - height) * down)
    return left, top, left + width, top + height


def stamp_corner(size: Size, stamp: Size, gravity: str, margins: tuple[int, int]) -> tuple[int, int]:
    """Return the top left corner of a stamp placed by a gravity; margins keep it off the picture's edges."""
    left, top, _, _ = box_at(size, Bounds(*stamp), gravity)
    across, down = GRAVITIES[gravity]
    return left + _INWARDS[across] * margins[0], top + _INWARDS[down] * margins[1]


def count_of_blocks(size: Size, bounds: Bounds) -> int:
    """Count the blocks that a picture divides into; a side of 0 in the bounds means the whole side."""
    across, down = _grid(size, bounds)
    return across * down


def block(size: Size, bounds: Bounds, index: int) -> Box:
    """Return one block, counted by rows from 0; the last block of a row or column may be smaller."""
    row, column = divmod(index, _grid(size, bounds)[0])
    left, top = column * bounds.width, row * bounds.height
    right = min(left + bounds.width, size[0]) if bounds.width else size[0]
    return left, top, right, min(top + bounds.height, size[1]) if bounds.height else size[1]


def _grid(size: Size, bounds: Bounds) -> tuple[int, int]:
    return ceil(size[0] / (bounds.width or size[0])), ceil(size[1] / (bounds.height or size[1]))


def turned(size: Size, degrees: int) -> Size:
    """Return the size of a picture after a turn by ``degrees``, rounded to whole pixels."""
    along, aside = abs(cos(radians(degrees))), abs(sin(radians(degrees)))
    return rounded(size[0] * along + size[1] * aside), rounded(size[0] * aside + size[1] * along)


def _both_percent(size: Size, bounds: Bounds) -> Size:
    return scaled(size, bounds.width / 100)


def _width_percent(size: Size, bounds: Bounds) -> Size:
    return rounded(size[0] * bounds.width / 100), size[1]


def _height_percent(size: Size, bounds: Bounds) -> Size:
    return size[0], rounded(size[1] * bounds.height / 100)


def _inside(size: Size, bounds: Bounds) -> Size:
    return scaled(size, fit_factor(size, bounds))


def _only_shrink(size: Size, bounds: Bounds) -> Size:
    return scaled(size, min(1.0, fit_factor(size, bounds)))


def _only_enlarge(size: Size, bounds: Bounds) -> Size:
    return scaled(size, max(1.0, fit_factor(size, bounds)))


def _cover(size: Size, bounds: Bounds) -> Size:
    return scaled(size, cover_factor(size, bounds))


def _exact(_: Size, bounds: Bounds) -> Size:
    return bounds.width, bounds.height


def _pixel_budget(size: Size, bounds: Bounds) -> Size:
    factor = min(1.0, sqrt(bounds.width / (size[0] * size[1])))
    # Rounded down, because rounding up could exceed the budget.
    return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))


# Form of a thumbnail rule: pattern of its argument, function that computes a picture's new size.
THUMBNAILS: Final[dict[str, tuple[str, Callable[[Size, Bounds], Size]]]] = {
    "both_percent": (r"!(?P<w>[0-9]+)p", _both_percent),
    "width_percent": (r"!(?P<w>[0-9]+)px", _width_percent),
    "height_percent": (r"!x(?P<h>[0-9]+)p", _height_percent),
    "inside": (r"(?P<w>[0-9]+)x(?P<h>[0-9]+)|(?P<w1>[0-9]+)x|x(?P<h1>[0-9]+)", _inside),
    "only_shrink": (r"(?P<w>[0-9]+)x(?P<h>[0-9]+)>", _only_shrink),
    "only_enlarge": (r"(?P<w>[0-9]+)x(?P<h>[0-9]+)<", _only_enlarge),
    "cover": (r"!(?P<w>[0-9]+)x(?P<h>[0-9]+)r", _cover),
    "exact": (r"(?P<w>[0-9]+)x(?P<h>[0-9]+)!", _exact),
    "pixel_budget": (r"(?P<w>[0-9]+)@", _pixel_budget),
}


def quick_template(size: Size, mode: int, bounds: Bounds) -> tuple[Size, Bounds | None]:
    """Return the size that an imageView2 mode scales to, and the area that it then cuts out of the middle.

    If only one side is given, mode 2 scales the other side with it, and the other modes use a square. Mode 2
    never enlarges (assumed: the page says "at most").
    """
    if mode == 2:
        return _only_shrink(size, bounds), None
    square = Bounds(bounds.width or bounds.height, bounds.height or bounds.width)
    if mode in (4, 5) and size[0] < size[1]:
        square = Bounds(square.height, square.width)  # the first value is meant for the longer side
    return _cover(size, square), square if mode in (1, 5) else None
