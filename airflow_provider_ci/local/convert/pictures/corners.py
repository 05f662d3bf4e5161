"""Round corners: the area outside them becomes transparent."""

from __future__ import annotations

from typing import Final

from PIL import Image, ImageChops, ImageDraw

from airflow_provider_ci.local.convert.pictures.geometry import Size

# Corners are drawn four times as large and then averaged, because Pillow draws hard edges.
_SMOOTHING: Final = 4
# Maximum radius, in pixels, that is smoothed: a larger corner would take too much memory.
_MAX_SMOOTHED: Final = 1000


def rounded_off(frame: Image.Image, mask: Image.Image) -> Image.Image:
    """Make a frame transparent where the mask is 0."""
    shown = frame.convert("RGBA")
    shown.putalpha(ImageChops.multiply(shown.getchannel("A"), mask))
    return shown


def corner_mask(size: Size, radius: int) -> Image.Image:
    """Draw a mask with round corners: 0 outside of them, 255 inside."""
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
