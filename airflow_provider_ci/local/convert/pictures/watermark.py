"""Watermarks: a text or a picture as a stamp, laid over a frame once or tiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from pathlib import Path
from typing import Final

from PIL import Image, ImageColor, ImageDraw, ImageOps

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.pictures import geometry, limits
from airflow_provider_ci.local.convert.pictures.fonts import font_for
from airflow_provider_ci.local.convert.pictures.geometry import Bounds, Size
from airflow_provider_ci.local.convert.pictures.reading import frames_of, in_srgb, open_picture
from airflow_provider_ci.local.convert.pictures.rules import operations as op

Layer = tuple[Image.Image, tuple[int, int]]
_SHADOW_SHARE: Final = 12
"""A text's shadow is offset to the lower right by the font size divided by this."""


def text_stamp(operation: op.TextWatermark) -> Image.Image:
    """Draw a text with its shadow, cropped to the visible part; a tiled text gets space around it."""
    ink = _ink(operation)
    shift = max(1, operation.fontsize // _SHADOW_SHARE) if operation.shadow else 0
    size = ink.width + shift, ink.height + shift
    stamp = Image.new("RGBA", size)
    if shift:
        shadow = ink.point(lambda value: value * operation.shadow / 100)
        stamp.alpha_composite(_coloured(shadow, "#000000"), (shift, shift))
    stamp.alpha_composite(_coloured(ink, operation.fill))
    return ImageOps.expand(stamp, operation.fontsize // 2) if operation.placement.batch else stamp


def _ink(operation: op.TextWatermark) -> Image.Image:
    """Draw a text white on black and crop it to its visible part."""
    text = "\n".join(operation.text.splitlines())  # other line endings break Pillow's layout
    font = font_for(operation.font, operation.fontsize, text)
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).textbbox((0, 0), text, font)
    limits.check_stamp((int(right - left) + 2, int(bottom - top) + 2))
    # One pixel of room on each side, because soft edges lie outside the measured box.
    ink = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(ink).text((1 - left, 1 - top), text, 255, font)
    return ink.crop(ink.getbbox() or (0, 0, 1, 1))


def _coloured(mask: Image.Image, color: str) -> Image.Image:
    shape = Image.new("RGBA", mask.size, ImageColor.getrgb(color))
    shape.putalpha(mask)
    return shape


def image_stamp(operation: op.ImageWatermark, path: Path, size: Size) -> Image.Image:
    """Read the picture of a watermark and scale it for a frame of ``size``, as the rule says."""
    with open_picture(path, "the watermark image") as image:
        if frames_of(image) > 1:
            raise ConversionError(errors.INVALID_RULE, "an animated picture cannot be a watermark")
        stamp = _decoded(image)
    if operation.scatype:
        stamp = _scaled(stamp, _FACTORS[operation.scatype](stamp.size, size, operation.spcent / 1000))
    return _ADAPTED[operation.blogo](stamp, size)


def _decoded(image: Image.Image) -> Image.Image:
    try:
        return in_srgb(image).convert("RGBA")
    except (OSError, SyntaxError, ValueError) as error:
        message = "the watermark image is cut off or damaged"
        raise ConversionError(errors.DAMAGED_FILE, message) from error


_FACTORS: Final[dict[int, Callable[[Size, Size, float], float]]] = {
    1: lambda stamp, size, share: size[0] * share / stamp[0],
    2: lambda stamp, size, share: size[1] * share / stamp[1],
    3: lambda stamp, size, share: sqrt(size[0] * size[1] * share / (stamp[0] * stamp[1])),
}


def _scaled(stamp: Image.Image, factor: float) -> Image.Image:
    size = geometry.scaled(stamp.size, factor)
    limits.check_stamp(size)
    return stamp.resize(size, Image.Resampling.LANCZOS)


def _fitted(stamp: Image.Image, size: Size) -> Image.Image:
    factor = geometry.fit_factor(stamp.size, Bounds(*size))
    return _scaled(stamp, factor) if factor < 1 else stamp


def _cut(stamp: Image.Image, size: Size) -> Image.Image:
    return stamp.crop((0, 0, min(stamp.width, size[0]), min(stamp.height, size[1])))


_ADAPTED: Final[dict[int, Callable[[Image.Image, Size], Image.Image]]] = {
    0: lambda stamp, _: stamp,
    1: _fitted,
    2: _cut,
}


def layers(stamp: Image.Image, size: Size, placement: op.Placement) -> list[Layer]:
    """Return the layers to put on a frame of ``size``, each with its top left corner."""
    faded = stamp.copy()
    faded.putalpha(stamp.getchannel("A").point(lambda value: value * placement.dissolve / 100))
    if placement.batch:
        return _tiles(_turned(faded, placement.degree), size, placement)
    margins = placement.dx, placement.dy
    return [(faded, geometry.stamp_corner(size, stamp.size, placement.gravity, margins))]


def _turned(stamp: Image.Image, degrees: int) -> Image.Image:
    if not degrees % 360:
        return stamp
    limits.check_stamp(geometry.turned(stamp.size, degrees))
    return stamp.rotate(-degrees, Image.Resampling.BICUBIC, expand=True)


def _tiles(stamp: Image.Image, size: Size, placement: op.Placement) -> list[Layer]:
    """Fill rows with copies of the stamp; dx and dy are the gaps between copies, in pixels."""
    row = Image.new("RGBA", (size[0], min(stamp.height, size[1])))
    row.paste(stamp, (0, 0))
    filled = stamp.width + placement.dx
    # Doubling fills a row in few steps, even with a tiny stamp.
    while filled < size[0]:
        row.paste(row.crop((0, 0, min(filled, size[0] - filled), row.height)), (filled, 0))
        filled *= 2
    return [(row, (0, top)) for top in range(0, size[1], stamp.height + placement.dy)]


def laid_over(frame: Image.Image, stamps: Sequence[Layer]) -> Image.Image:
    """Lay stamps over a frame, cut at the frame's edges; a grey frame becomes RGB."""
    ground = frame.convert("RGB") if frame.mode == "L" else frame.copy()
    for stamp, (left, top) in stamps:
        box = (
            max(left, 0),
            max(top, 0),
            min(left + stamp.width, ground.width),
            min(top + stamp.height, ground.height),
        )
        if box[0] < box[2] and box[1] < box[3]:
            # Only the covered part is blended, because a frame can be large and layers can be many.
            region = ground.crop(box).convert("RGBA")
            region.alpha_composite(stamp.crop((box[0] - left, box[1] - top, box[2] - left, box[3] - top)))
            ground.paste(region.convert(ground.mode), box)
    return ground
