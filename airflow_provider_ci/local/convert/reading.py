"""A picture file opened within the limits of the service."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PIL import Image, UnidentifiedImageError

from airflow_provider_ci.local.convert import errors, limits
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.intake import check_picture_size

_READ: Final = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
MODES: Final = {"RGB": "RGB", "RGBA": "RGBA", "L": "L", "1": "L", "LA": "RGBA", "PA": "RGBA", "La": "RGBA"}


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
    """Count the frames, 1 for a still picture."""
    return int(getattr(image, "n_frames", 1))


def usable(frame: Image.Image) -> Image.Image:
    """Give a copy in RGB, RGBA or L."""
    if frame.mode == "P":
        return frame.convert("RGBA" if "transparency" in frame.info else "RGB")
    if frame.mode.startswith("I;16"):
        return frame.point(lambda value: value * (1 / 256)).convert("L")
    if frame.mode in ("RGB", "L") and "transparency" in frame.info:
        return frame.convert("RGBA")
    return frame.convert(MODES.get(frame.mode, "RGB"))
