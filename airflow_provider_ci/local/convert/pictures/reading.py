"""Opens picture files within the limits of the service, and converts their frames to usable modes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageChops, ImageMath, UnidentifiedImageError

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.pictures import limits
from airflow_provider_ci.local.convert.pictures.colours import fits, profile_of, to_srgb
from airflow_provider_ci.local.convert.source.intake import check_picture_size

# The first bytes of each format, and its name. In some formats a length comes before these bytes.
_SIGNS: Final = {
    b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"GIF8": "gif", b"WEBPVP8": "webp", b"II*\0": "tiff",
    b"MM\0*": "tiff", b"ftypheic": "heic", b"ftypmif1": "heif", b"ftypavif": "avif", b"8BPS": "psd",
    b"<svg": "svg", b"%PDF": "pdf", b"jP  ": "jpeg 2000",
}  # fmt: skip
_SIGN_OFFSETS: Final = (0, 4, 8)
_READ: Final = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
ANIMATED: Final = ("GIF", "WEBP", "PNG")
_DEEP: Final = ("I", "F")
_MOST_8_BITS: Final = 255.0
_MOST_16_BITS: Final = 65535.0
# Tags of a tiff.
_PHOTOMETRIC, _SAMPLE_FORMAT = 262, 339
_WHITE_IS_ZERO, _BLACK_IS_ZERO = 0, 1
_UNSIGNED = 1
# The difference between neighbouring greys of a png with 1, 2 or 4 bits, after Pillow has read it.
_STEPS: Final = {"1": 255, "L;2": 85, "L;4": 17}


def open_picture(path: Path, what: str = "the picture") -> Image.Image:
    """Open a picture file; an empty, too large or unreadable file is a ConversionError."""
    check_picture_size(path, limits.MAX_INPUT_BYTES)
    image = open_any(path, what)
    try:
        limits.check_input(what, image.size, frames_of(image))
    except ConversionError:
        image.close()
        raise
    return image


def open_any(path: Path, what: str = "the picture") -> Image.Image:
    """Open a picture file of any size and read its header."""
    Image.MAX_IMAGE_PIXELS = None  # the limits of the service are checked instead
    Image.init()  # opening by format needs the plug-in of every format loaded
    try:
        return Image.open(path, formats=_READ)
    except UnidentifiedImageError:
        raise _unreadable(path, what) from None


def _unreadable(path: Path, what: str) -> ConversionError:
    with path.open("rb") as stream:
        head = stream.read(32)
    starts = [head[offset:] for offset in _SIGN_OFFSETS]
    found = next(
        (name for sign, name in _SIGNS.items() if any(start.startswith(sign) for start in starts)), ""
    )
    message = f"{what} is a {found} that is damaged, or of a kind that cannot be read" if found else ""
    return ConversionError(
        errors.DAMAGED_FILE, message or f"{what} is none that can be read (jpg, png, gif, webp, bmp, tiff)"
    )


def frames_of(image: Image.Image) -> int:
    """Count the frames of an animation; 1 for a still picture, and for a tiff with several pages."""
    return int(getattr(image, "n_frames", 1)) if image.format in ANIMATED else 1


def usable(frame: Image.Image) -> Image.Image:
    """Return a copy in mode RGB, RGBA or L, with 8 bits per channel and without metadata."""
    made = _eight_bits(frame) if frame.mode in _DEEP or frame.mode.startswith("I;16") else _plain(frame)
    made.info = {}
    return made


def in_srgb(frame: Image.Image) -> Image.Image:
    """Return a usable copy whose colours are converted to sRGB by the frame's profile."""
    profile = profile_of(frame)
    if frame.mode == "LAB" or (profile and frame.mode == "CMYK"):
        frame.load()
        return usable(to_srgb(frame, profile))
    made = usable(frame)
    is_grey = made.mode == "RGBA" and fits(profile, "L")
    return to_srgb(made, profile) if profile and (is_grey or fits(profile, made.mode)) else made


def _plain(frame: Image.Image) -> Image.Image:
    if frame.mode in ("1", "L", "RGB") and "transparency" in frame.info:
        frame.info["transparency"] = _eight_bit_transparency(frame)
        return frame.convert("L" if frame.mode == "1" else frame.mode).convert("RGBA")
    if frame.has_transparency_data:
        return frame.convert("RGBA")
    return frame.convert("L" if frame.mode in ("1", "L") else "RGB")


def _eight_bit_transparency(frame: Image.Image) -> Any:
    """Return the transparent colour in 8 bits; a png stores it in the bit depth of the file."""
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
    # If 0 means white, Pillow inverts greys of 8 bits, but not of 16.
    if _tag(frame, _PHOTOMETRIC, _BLACK_IS_ZERO) == _WHITE_IS_ZERO:
        high = ImageChops.invert(high)
    if not isinstance(transparent, int):
        return high
    low = Image.frombytes("L", frame.size, content[second::2])
    # A transparent colour has to match in both bytes, although only the upper byte is kept.
    is_high = high.point([255 * (value == transparent >> 8) for value in range(256)])
    is_low = low.point([255 * (value == transparent & 255) for value in range(256)])
    made = high.convert("RGBA")
    made.putalpha(ImageChops.invert(ImageChops.multiply(is_high, is_low)))
    return made


def _tag(frame: Image.Image, tag: int, default: int) -> int:
    """Read a tag of a tiff that holds a number."""
    value = getattr(frame, "tag_v2", {}).get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)


def _unsigned(frame: Image.Image) -> Image.Image:
    """Return unsigned 32-bit integers as floats, because Pillow reads the upper half as negative."""
    shifted = ImageMath.lambda_eval(
        lambda names: names["frame"] + names["float"](names["frame"] < 0) * 2.0**32, frame=frame.convert("F")
    )
    assert isinstance(shifted, Image.Image)
    return shifted


def _extremes(frame: Image.Image) -> tuple[float, float]:
    lowest, highest = frame.getextrema()
    return float(lowest), float(highest)  # type: ignore[arg-type]  # one band


def _stretched(frame: Image.Image) -> Image.Image:
    """Map 32-bit values to 8 bits: from 0 to 1, 255 or 65535 if they fit, else from lowest to highest."""
    lowest, highest = _extremes(frame)
    is_unsigned = frame.mode == "I" and lowest < 0 and _tag(frame, _SAMPLE_FORMAT, _UNSIGNED) == _UNSIGNED
    if is_unsigned:
        frame = _unsigned(frame)
        lowest, highest = _extremes(frame)
    # NaN shows in the mean, but not in the extremes.
    mean = frame.convert("F").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    if not all(map(math.isfinite, (lowest, highest, mean))):  # type: ignore[arg-type]  # one band
        raise ConversionError(errors.DAMAGED_FILE, "the picture holds values that are not finite numbers")
    most = 1.0 if frame.mode == "F" and not is_unsigned else _MOST_8_BITS
    if lowest >= 0 and highest <= most:
        lowest, highest = 0.0, most
    elif most == _MOST_8_BITS and lowest >= 0 and highest <= _MOST_16_BITS:
        lowest, highest = 0.0, _MOST_16_BITS
    scale = 255.0 / (highest - lowest) if highest > lowest else 0.0
    values = frame.convert("F").point(lambda value: value * scale + (-lowest * scale + 0.5))
    return values.convert("L")
