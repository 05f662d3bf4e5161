"""A picture file opened within the limits of the service."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageChops, UnidentifiedImageError

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.pictures import limits
from airflow_provider_ci.local.convert.pictures.colours import fits, profile_of, to_srgb
from airflow_provider_ci.local.convert.source.intake import check_picture_size

_READ: Final = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
ANIMATED: Final = ("GIF", "WEBP", "PNG")
_DEEP: Final = ("I", "F")
_MOST_16_BITS: Final = 65535.0
# The distance of two greys of a png of fewer than 8 bits, as Pillow reads them.
_STEPS: Final = {"1": 255, "L;2": 85, "L;4": 17}


def open_picture(path: Path, what: str = "the picture") -> Image.Image:
    """Open a picture file; an empty, too large or unreadable one is a ConversionError."""
    check_picture_size(path, limits.MAX_INPUT_BYTES)
    image = open_any(path, what)
    try:
        limits.check_input(what, image.size, frames_of(image))
    except ConversionError:
        image.close()
        raise
    return image


def open_any(path: Path, what: str = "the picture") -> Image.Image:
    """Open a picture file of any size, to look at its header."""
    Image.MAX_IMAGE_PIXELS = None  # the limits of the service are checked instead
    Image.init()  # opening by format needs the plug-in of every format loaded
    try:
        return Image.open(path, formats=_READ)
    except UnidentifiedImageError:
        raise ConversionError(
            errors.DAMAGED_FILE, f"{what} is none that can be read (jpg, png, gif, webp, bmp, tiff)"
        ) from None


def frames_of(image: Image.Image) -> int:
    """Count the frames, 1 for a still picture, which the pages of a tiff are, too."""
    return int(getattr(image, "n_frames", 1)) if image.format in ANIMATED else 1


def usable(frame: Image.Image) -> Image.Image:
    """Give a copy in RGB, RGBA or L, with 8 bits a colour, without any metadata."""
    made = _eight_bits(frame) if frame.mode in _DEEP or frame.mode.startswith("I;16") else _plain(frame)
    made.info = {}
    return made


def in_srgb(frame: Image.Image) -> Image.Image:
    """Give a usable copy whose colours are sRGB, by the profile that the frame carries."""
    profile = profile_of(frame)
    if frame.mode == "LAB" or (profile and frame.mode == "CMYK"):
        frame.load()
        return usable(to_srgb(frame, profile))
    made = usable(frame)
    return to_srgb(made, profile) if profile and fits(profile, made.mode) else made


def _plain(frame: Image.Image) -> Image.Image:
    if frame.mode in ("1", "L", "RGB") and "transparency" in frame.info:
        frame.info["transparency"] = _eight_bit_transparency(frame)
        return frame.convert("L" if frame.mode == "1" else frame.mode).convert("RGBA")
    if frame.has_transparency_data:
        return frame.convert("RGBA")
    return frame.convert("L" if frame.mode in ("1", "L") else "RGB")


def _eight_bit_transparency(frame: Image.Image) -> Any:
    """Give the transparent colour in 8 bits; a png stores it in the bit depth of the file."""
    value = frame.info["transparency"]
    if frame.format != "PNG" or isinstance(value, bytes):
        return value
    tiles = getattr(frame, "tile", [])
    arguments = tiles[0].args if tiles else ""
    raw = str(arguments[0] if isinstance(arguments, tuple) else arguments)
    if raw.endswith("16B"):
        return tuple(part >> 8 for part in value) if isinstance(value, tuple) else value >> 8
    return value * _STEPS.get(raw, 1) if isinstance(value, int) else value


def _eight_bits(frame: Image.Image) -> Image.Image:
    if not frame.mode.startswith("I;16"):
        return _stretched(frame)
    transparent = frame.info.get("transparency")
    content = frame.tobytes()
    # 16-bit modes are little-endian unless their name ends in B.
    first, second = (1, 0) if frame.mode != "I;16B" else (0, 1)
    high = Image.frombytes("L", frame.size, content[first::2])
    if not isinstance(transparent, int):
        return high
    low = Image.frombytes("L", frame.size, content[second::2])
    # A transparent colour has to match in both bytes, although only the upper one stays.
    is_high = high.point([255 * (value == transparent >> 8) for value in range(256)])
    is_low = low.point([255 * (value == transparent & 255) for value in range(256)])
    made = high.convert("RGBA")
    made.putalpha(ImageChops.invert(ImageChops.multiply(is_high, is_low)))
    return made


def _stretched(frame: Image.Image) -> Image.Image:
    """Map 32 bits to 256 steps: as they are meant where that shows, else from lowest to highest."""
    lowest, highest = (float(value) for value in frame.getextrema())  # type: ignore[arg-type]  # one band
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise ConversionError(errors.DAMAGED_FILE, "the picture holds values that are not finite numbers")
    most = 1.0 if frame.mode == "F" else 255.0
    if lowest >= 0 and highest <= most:
        lowest, highest = 0.0, most
    elif frame.mode == "I" and lowest >= 0 and highest <= _MOST_16_BITS:
        lowest, highest = 0.0, _MOST_16_BITS
    scale = 255.0 / (highest - lowest) if highest > lowest else 0.0
    values = frame.convert("F").point(lambda value: value * scale + (-lowest * scale + 0.5))
    return values.convert("L")
