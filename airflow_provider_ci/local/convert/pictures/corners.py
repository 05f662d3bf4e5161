"""Round corners: the area outside them becomes transparent."""

from __future__ import annotations

from typing import Final

from PIL import Image, ImageChops, ImageDraw

from airflow_provider_ci.local.convert.pictures.geometry import Size

# Drawn four times as large and averaged, because Pillow draws hard edges.
_SMOOTHING: Final = 4
# A larger corner would take too much memory at that size.
_MAX_SMOOTHED: Final = 1000


def rounded_off(frame: Image.Image, mask: Image.Image) -> Image.Image:
    """Take from a frame what the mask leaves out."""
    shown = frame.convert("RGBA")
    shown.putalpha(ImageChops.multiply(shown.getchannel("A"), mask))
    return shown


def corner_mask(size: Size, radius: int) -> Image.Image:
    """Draw a mask that leaves out the area outside of corners of a radius."""
    mask = Image.new("L", size, 255)
    corner = _corner(radius)
    right, bottom = size[0] - radius, size[1] - radius
    mask.paste(corner, (0, 0))
    mask.paste(corner.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (right, 0))
    mask.paste(corner.transpose(Image.Transpose.FLIP_TOP_BOTTOM), (0, bottom))
    mask.paste(corner.transpose(Image.Transpose.ROTATE_180), (right, bottom))
    return mask


def _corner(radius: int) -> Image.Image:
    """Draw the top left quarter of a disc, with soft edges unless it is huge."""
    scale = _SMOOTHING if radius <= _MAX_SMOOTHED else 1
    side = radius * scale
    disc = Image.new("L", (side, side), 0)
    ImageDraw.Draw(disc).pieslice((0, 0, 2 * side - 1, 2 * side - 1), 180, 270, fill=255)
    return disc.resize((radius, radius), Image.Resampling.BOX)
