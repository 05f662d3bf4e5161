"""Makes pictures in every mode and format, and colour profiles."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from PIL import Image, ImageCms

SIDE: Final = 16
DARK, LIGHT = 40, 215
"""Grey values. Every picture is 48 x 16: a dark part, a light part, and one that may be transparent."""


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    depth: int, colour: int, values: tuple[int, ...], *, transparent: bytes = b"", profile: bytes = b""
) -> bytes:
    """A png with 1 to 16 bits per channel, grey (``colour`` 0) or coloured (2); ``values``: one per part."""
    channels = {0: 1, 2: 3}[colour]
    samples = [value for value in values for _ in range(SIDE * channels)]
    bits = "".join(f"{sample:0{depth}b}" for sample in samples)
    row = b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    parts = _chunk(b"IHDR", struct.pack(">2I5B", 3 * SIDE, SIDE, depth, colour, 0, 0, 0))
    parts += _chunk(b"iCCP", b"p\0\0" + zlib.compress(profile)) if profile else b""
    parts += _chunk(b"tRNS", transparent) if transparent else b""
    parts += _chunk(b"IDAT", zlib.compress(row * SIDE)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _parts(mode: str, *values: float | tuple[float, ...]) -> Image.Image:
    made = Image.new(mode, (3 * SIDE, SIDE))
    for number, value in enumerate(values):
        made.paste(Image.new(mode, (SIDE, SIDE), value), (number * SIDE, 0))
    return made


def _palette() -> Image.Image:
    made = _parts("P", 0, 1, 2)
    made.putpalette([DARK] * 3 + [LIGHT] * 3 + [128] * 3)
    return made


def _image(mode: str) -> Image.Image:
    low, high, middle = {
        "1": (0, 255, 255), "I;16": (DARK * 257, LIGHT * 257, 30000), "I": (DARK * 257, LIGHT * 257, 30000),
        "F": (DARK / 255, LIGHT / 255, 0.5),
    }.get(mode, (DARK, LIGHT, 128))  # fmt: skip
    if mode in ("1", "L", "I;16", "I", "F"):
        return _parts(mode, low, high, middle)
    if mode == "P":
        return _palette()
    if mode == "CMYK":
        return _parts(mode, (0, 0, 0, 255 - DARK), (0, 0, 0, 255 - LIGHT), (0, 0, 0, 127))
    if mode == "LAB":
        return _parts(mode, (DARK, 128, 128), (LIGHT, 128, 128), (128, 128, 128))
    if mode == "YCbCr":
        return _parts("RGB", (DARK,) * 3, (LIGHT,) * 3, (128,) * 3).convert("YCbCr")
    count = {"LA": 1, "RGB": 3, "RGBA": 3}[mode]
    alpha = ((255,), (255,), (0,)) if mode.endswith("A") else ((), (), ())
    return _parts(
        mode, *((value,) * count + end for value, end in zip((low, high, middle), alpha, strict=True))
    )


def saved(mode: str, form: str, **options: object) -> bytes:
    """A picture in a Pillow mode, as Pillow saves it in a format."""
    file = io.BytesIO()
    _image(mode).save(file, form, **options)
    return file.getvalue()


def grey_tiff(
    order: str = "<", *, depth: int = 16, white_is_zero: bool = False, values: tuple[int, ...] = ()
) -> bytes:
    """A tiff of unsigned grey values; ``order`` is the byte order, ``<`` or ``>``."""
    scale = (1 << depth) // 255
    greys = values or tuple((255 - grey if white_is_zero else grey) * scale for grey in (DARK, LIGHT, 128))
    samples = [grey for grey in greys for _ in range(SIDE)]
    pixels = struct.pack(f"{order}{3 * SIDE}{'I' if depth == 32 else 'H'}", *samples) * SIDE
    entries = [
        (256, 3, 3 * SIDE), (257, 3, SIDE), (258, 3, depth), (259, 3, 1), (262, 3, 0 if white_is_zero else 1),
        (273, 4, 8), (277, 3, 1), (278, 3, SIDE), (279, 4, len(pixels)),
    ]  # fmt: skip
    table = b"".join(
        struct.pack(f"{order}HHIHH", tag, kind, 1, value, 0)
        if kind == 3
        else struct.pack(f"{order}HHII", tag, kind, 1, value)
        for tag, kind, value in entries
    )
    directory = struct.pack(f"{order}H", len(entries)) + table + struct.pack(f"{order}I", 0)
    mark = b"II" if order == "<" else b"MM"
    return struct.pack(f"{order}2sHI", mark, 42, 8 + len(pixels)) + pixels + directory


SOURCES: Final[Mapping[str, tuple[Callable[[], bytes], bool]]] = {
    "png 1": (lambda: png(1, 0, (0, 1, 1)), False),
    "png 2": (lambda: png(2, 0, (0, 3, 2)), False),
    "png 2 trns": (lambda: png(2, 0, (0, 3, 2), transparent=struct.pack(">H", 2)), True),
    "png 4 trns": (lambda: png(4, 0, (2, 13, 8), transparent=struct.pack(">H", 8)), True),
    "png L": (lambda: saved("L", "PNG"), False),
    "png L trns": (lambda: png(8, 0, (DARK, LIGHT, 128), transparent=struct.pack(">H", 128)), True),
    "png LA": (lambda: saved("LA", "PNG"), True),
    "png P": (lambda: saved("P", "PNG"), False),
    "png P trns": (lambda: saved("P", "PNG", transparency=2), True),
    "png RGB": (lambda: saved("RGB", "PNG"), False),
    "png RGB trns": (
        lambda: png(8, 2, (DARK, LIGHT, 128), transparent=struct.pack(">3H", 128, 128, 128)),
        True,
    ),
    "png RGBA": (lambda: saved("RGBA", "PNG"), True),
    "png 16": (lambda: png(16, 0, (DARK * 257, LIGHT * 257, 30000)), False),
    "png 16 trns": (
        lambda: png(16, 0, (DARK * 257, LIGHT * 257, 30000), transparent=struct.pack(">H", 30000)),
        True,
    ),
    "png 48": (lambda: png(16, 2, (DARK * 257, LIGHT * 257, 30000)), False),
    "png 48 trns": (
        lambda: png(16, 2, (DARK * 257, LIGHT * 257, 30000), transparent=struct.pack(">3H", *[30000] * 3)),
        True,
    ),
    "gif P": (lambda: saved("P", "GIF"), False),
    "gif P trns": (lambda: saved("P", "GIF", transparency=2), True),
    "bmp RGB": (lambda: saved("RGB", "BMP"), False),
    "bmp L": (lambda: saved("L", "BMP"), False),
    "webp RGB": (lambda: saved("RGB", "WEBP", quality=100), False),
    "webp RGBA": (lambda: saved("RGBA", "WEBP", lossless=True), True),
    "jpg L": (lambda: saved("L", "JPEG"), False),
    "jpg RGB": (lambda: saved("RGB", "JPEG"), False),
    "jpg CMYK": (lambda: saved("CMYK", "JPEG"), False),
    "tiff LA": (lambda: saved("LA", "TIFF"), True),
    "tiff RGBA": (lambda: saved("RGBA", "TIFF"), True),
    "tiff big-endian 16": (lambda: grey_tiff(">"), False),
    "tiff white 16": (lambda: grey_tiff(white_is_zero=True), False),
    "tiff unsigned 32": (lambda: grey_tiff(depth=32, values=(0, (1 << 32) - 1, 1 << 31)), False),
    **{
        f"tiff {mode}": (partial(saved, mode, "TIFF"), False)
        for mode in ("1", "L", "P", "RGB", "CMYK", "I;16", "I", "F", "LAB", "YCbCr")
    },
}
"""For each picture: the function that makes it, and whether its third part is transparent."""


def _tag_table(tags: Mapping[bytes, bytes], kind: bytes, space: bytes, connection: bytes) -> bytes:
    """An ICC profile with these tags."""
    place, table, contents = 132 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        padded = content + b"\0" * (-len(content) % 4)
        table += struct.pack(">4sII", name, place + len(contents), len(content))
        contents += padded
    size = place + len(contents)
    header = struct.pack(">I4sI4s4s4s12x4s", size, b"lcms", 0x02400000, kind, space, connection, b"acsp")
    header += b"\0" * (68 - len(header)) + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return header + b"\0" * (128 - len(header)) + struct.pack(">I", len(tags)) + table + contents


def _described(text: str) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text.encode() + b"\0" * 79


_WHITE: Final = b"XYZ \0\0\0\0" + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)


def cmyk_profile() -> bytes:
    """A CMYK profile in which black ink is green, so that ignoring the profile gives the wrong colour."""
    grid = b""
    for _cmy in range(8):
        # Lightness, a and b without black ink, then with full black ink; the other inks change nothing.
        grid += bytes([255, 128, 128]) + bytes([120, 60, 190])
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0])
    lut += struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x10000)
    lut += ramp * 4 + grid + ramp * 3
    tags = {b"desc": _described("green ink"), b"wtpt": _WHITE, b"A2B0": lut}
    return _tag_table(tags, b"prtr", b"CMYK", b"Lab ")


def swapped_profile() -> bytes:
    """An RGB profile in which red and blue are swapped."""
    content = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return content.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")


def grey_profile() -> bytes:
    """A grey profile with gamma 4: the colours are darker than the stored values suggest."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 4 << 8)
    return _tag_table(
        {b"desc": _described("dark"), b"wtpt": _WHITE, b"kTRC": curve}, b"mntr", b"GRAY", b"XYZ "
    )
