"""The responses to the queries imageInfo, exif and imageAve about a picture (1045/33722, 33723)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from PIL import ExifTags

from airflow_provider_ci.local.convert.pictures.information import (
    average_of,
    format_name,
    part_of_exif,
    read_exif,
)
from airflow_provider_ci.local.convert.pictures.reading import frames_of, in_srgb, open_picture

_PARTS: Final[dict[int, Mapping[int, str]]] = {
    ExifTags.IFD.Exif: ExifTags.TAGS,
    ExifTags.IFD.GPSInfo: ExifTags.GPSTAGS,
}
_LONGEST_VALUE: Final = 1000
# The service's response for a picture without EXIF (1045/33723).
NO_EXIF: Final = {"error": "no exif data"}


def image_info(source: Path) -> dict[str, str]:
    """Return format, width, height, size in bytes, md5, frame_count and average colour, all as text."""
    with open_picture(source) as image:
        return {
            "format": format_name(image),
            "width": str(image.size[0]),
            "height": str(image.size[1]),
            "size": str(source.stat().st_size),
            "md5": hashlib.md5(source.read_bytes(), usedforsecurity=False).hexdigest(),
            "frame_count": str(frames_of(image)),
            "photo_rgb": average_of(in_srgb(image)),
        }


def image_average(source: Path) -> dict[str, str]:
    """Return the average colour: ``{"RGB": "0x736246"}``."""
    with open_picture(source) as image:
        return {"RGB": average_of(in_srgb(image))}


def exif(source: Path) -> dict[str, Any]:
    """Return the EXIF tags by name, ``{"Model": {"val": "X100"}}``; without tags, the service's error."""
    with open_picture(source) as image:
        tags = read_exif(image.info.get("exif", b""))
    told = _told(tags, ExifTags.TAGS)
    for part, names in _PARTS.items():
        told.update(_told(part_of_exif(tags, part), names))
    return {name: {"val": text} for name, text in told.items() if text} or NO_EXIF


def _told(tags: Mapping[int, Any], names: Mapping[int, str]) -> dict[str, str]:
    # A tag in _PARTS holds only the offset of its part in the file.
    return {names.get(tag, f"0x{tag:04X}"): _text(value) for tag, value in tags.items() if tag not in _PARTS}


def _text(value: object) -> str:
    """Write a value as text; bytes that are not text are left out: they are the camera maker's own data."""
    if isinstance(value, bytes):
        value = value.decode("ascii") if value.isascii() else ""
    text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return "".join(character for character in text if character.isprintable()).strip()[:_LONGEST_VALUE]


QUERIES: Final[dict[str, Callable[[Path], dict[str, Any]]]] = {
    "imageInfo": image_info,
    "exif": exif,
    "imageAve": image_average,
}
