"""Describes a picture: its format, size, quality, orientation and average colour."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final

from PIL import Image

from airflow_provider_ci.local.convert.options import PictureInfo

ORIENTATION_TAG: Final = 0x0112
# Pillow raises any of these for damaged EXIF.
_DAMAGED: Final = (SyntaxError, ValueError, KeyError, TypeError, EOFError, OSError, struct.error)

# The luminance table of the JPEG standard: encoders scale its values by the quality.
_STANDARD_TABLE: Final = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip


def picture_info(image: Image.Image, path: Path, ave: str) -> PictureInfo:
    """Describe an open picture; the caller passes the average colour, which needs the pixels."""
    return PictureInfo(
        format=format_name(image),
        width=image.size[0],
        height=image.size[1],
        size=path.stat().st_size,
        quality=quality_of(image),
        orientation=orientation_of(image.info.get("exif", b"")),
        ave=ave,
    )


def format_name(image: Image.Image) -> str:
    """Name a format in the service's words: jpeg, png, gif, webp, bmp, tiff."""
    # Cameras and phones write MPO, a jpg with further pictures after the first one.
    return {"MPO": "jpeg"}.get(image.format or "", (image.format or "").lower())


def quality_of(image: Image.Image) -> int:
    """Estimate a JPEG's quality from its luminance table; 100 for other formats."""
    tables: dict[int, list[int]] = getattr(image, "quantization", None) or {}
    if not tables:
        return 100
    # The table with the lowest number is the one for luminance.
    total = sum(tables[min(tables)])
    return min(range(1, 101), key=lambda quality: abs(_table_sum(quality) - total))


def _table_sum(quality: int) -> int:
    # The formula by which libjpeg scales the table.
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return sum(min(max((value * scale + 50) // 100, 1), 255) for value in _STANDARD_TABLE)


def average_of(frame: Image.Image) -> str:
    """Return the average colour as 0xRRGGBB; transparent parts count as white."""
    pixel = flat(frame).convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return "0x" + "".join(f"{int(value):02X}" for value in pixel)


def flat(frame: Image.Image) -> Image.Image:
    """Put a transparent frame on a white background."""
    if frame.mode != "RGBA":
        return frame
    ground = Image.new("RGB", frame.size, (255, 255, 255))
    ground.paste(frame, mask=frame)
    return ground


def read_exif(exif: bytes) -> Image.Exif:
    """Read the tags of an EXIF block; none if the block is invalid."""
    tags = Image.Exif()
    try:
        tags.load(exif)
    except _DAMAGED:
        return Image.Exif()
    return tags


def part_of_exif(tags: Image.Exif, part: int) -> dict[int, Any]:
    """Read the tags of a part of EXIF, such as the position; none if the part is invalid."""
    try:
        return dict(tags.get_ifd(part))
    except _DAMAGED:
        return {}


def orientation_of(exif: bytes) -> int:
    """Read the EXIF orientation; 0 if it is missing or the block is invalid."""
    return int(value) if isinstance(value := read_exif(exif).get(ORIENTATION_TAG), int) else 0
