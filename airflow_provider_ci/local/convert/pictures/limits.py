"""How large a picture may be, before, between and after the steps of a rule."""

from __future__ import annotations

from typing import Final

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.pictures.geometry import Size

# Limits of the service's picture pages (1045/33716 to 33727). One of these pages allows results of 50,000 px.
MAX_INPUT_BYTES: Final = 32 * 1024**2
MAX_INPUT_SIDE: Final = 30_000
MAX_OUTPUT_SIDE: Final = 9_999
MAX_PIXELS: Final = 250_000_000
MAX_FRAMES: Final = 300


def check_input(what: str, size: Size, frames: int) -> None:
    """Refuse a picture that is too large to be read."""
    width, height = size
    if max(size) > MAX_INPUT_SIDE or width * height * frames > MAX_PIXELS:
        raise ConversionError(
            errors.IMAGE_TOO_LARGE,
            f"{what} has {width} x {height} px in {frames} frames; the limits are {MAX_INPUT_SIDE} "
            f"a side and {MAX_PIXELS} in all",
        )
    if frames > MAX_FRAMES:
        raise ConversionError(
            errors.IMAGE_TOO_LARGE, f"{what} has {frames} frames; the limit is {MAX_FRAMES}"
        )


def check_output(size: Size, frames: int) -> None:
    """Refuse a result if a side, or the pixels of all frames together, exceed the limit."""
    width, height = size
    if max(size) > MAX_OUTPUT_SIDE:
        raise ConversionError(
            errors.IMAGE_TOO_LARGE,
            f"the result is {width} x {height} px; the limit is {MAX_OUTPUT_SIDE} a side",
        )
    if width * height * frames > MAX_PIXELS:
        raise ConversionError(
            errors.IMAGE_TOO_LARGE,
            f"the result is {width} x {height} px in {frames} frames; the limit is {MAX_PIXELS} in all",
        )


def check_stamp(size: Size) -> None:
    """Refuse a watermark that becomes larger than a picture may be."""
    width, height = size
    if max(size) > MAX_INPUT_SIDE or width * height > MAX_PIXELS:
        raise ConversionError(
            errors.IMAGE_TOO_LARGE,
            f"the watermark would be {width} x {height} px; the limits are {MAX_INPUT_SIDE} a side and "
            f"{MAX_PIXELS} in all",
        )
