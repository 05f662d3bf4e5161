"""Colour profiles: converts pictures from any colour space to sRGB by their embedded profile."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image, ImageCms

_SPACES: Final = {
    "CMYK": b"CMYK", "RGB": b"RGB ", "RGBA": b"RGB ", "P": b"RGB ", "PA": b"RGB ", "RGBX": b"RGB ",
    "YCbCr": b"RGB ", "L": b"GRAY", "LA": b"GRAY", "I;16": b"GRAY", "I;16B": b"GRAY", "LAB": b"Lab ",
}  # fmt: skip


def profile_of(image: Image.Image) -> bytes:
    """Return the colour profile of a picture; empty if it has none or one for another colour space."""
    profile: bytes = image.info.get("icc_profile") or b""
    # Bytes 16 to 19 of a profile name its colour space.
    return profile if profile and profile[16:20] == _SPACES.get(image.mode) else b""


def fits(profile: bytes, mode: str) -> bool:
    """Return whether a profile describes the colours of a mode."""
    return profile[16:20] == _SPACES.get(mode)


def to_srgb(frame: Image.Image, profile: bytes) -> Image.Image:
    """Convert a frame to sRGB by its profile; return it unchanged if the profile cannot be used."""
    # A profile describes colours only, so the transparency is kept aside.
    alpha = frame.getchannel("A") if frame.mode == "RGBA" else None
    colours = frame.convert("RGB") if alpha else frame
    if alpha and fits(profile, "L"):
        colours = frame.getchannel("R")
    source = ImageCms.createProfile("LAB") if frame.mode == "LAB" else io.BytesIO(profile)
    try:
        made = ImageCms.profileToProfile(colours, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return frame
    assert made is not None
    made.info = {}  # Pillow stores the sRGB profile in it
    if alpha:
        made.putalpha(alpha)
    return made
