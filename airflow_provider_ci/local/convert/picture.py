"""Pictures: a file and a rule in, a file out. Runs in a worker, as hostile files may crash a decoder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageSequence, UnidentifiedImageError

from airflow_provider_ci.local.convert import errors, geometry
from airflow_provider_ci.local.convert import operations as op
from airflow_provider_ci.local.convert.canvas import Canvas, apply_steps, orientation_of
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.intake import check_picture_size
from airflow_provider_ci.local.convert.options import PictureInfo, PictureResult
from airflow_provider_ci.local.convert.rules import output_format, parse_rule

MAX_INPUT_BYTES: Final = 32 * 1024**2
MAX_INPUT_SIDE: Final = 30_000
MAX_INPUT_PIXELS: Final = 250_000_000
MAX_FRAMES: Final = 300
_DEFAULT_QUALITY: Final = 85
_READ: Final = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
_ANIMATED: Final = ("GIF", "WEBP")
_WITH_ALPHA: Final = ("PNG", "GIF", "WEBP")
_MODES: Final = {"RGB": "RGB", "RGBA": "RGBA", "L": "L", "1": "L", "LA": "RGBA", "PA": "RGBA", "La": "RGBA"}

# The luminance table of the JPEG standard, summed: encoders scale it by the quality.
_STANDARD_TABLE: Final = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip


def process_picture(source: Path, rule: str, target: Path) -> PictureResult:
    """Apply a rule to a picture file; any failure is a ConversionError and leaves no target."""
    steps = parse_rule(rule)
    check_picture_size(source, MAX_INPUT_BYTES)
    Image.MAX_IMAGE_PIXELS = None  # the limits of the service are checked below instead
    with _open(source) as image:
        original = _info(image, source)
        try:
            return _process(image, original, steps, target)
        except ConversionError:
            if not _ignores_errors(steps):
                raise
        shutil.copyfile(source, target)
        return PictureResult(output=original, original=original)


def _ignores_errors(steps: Sequence[op.Step]) -> bool:
    return any(isinstance(operation, op.IgnoreError) for step in steps for operation in step.operations)


def _open(source: Path) -> Image.Image:
    Image.init()  # opening by format needs the plug-in of every format loaded
    try:
        return Image.open(source, formats=_READ)
    except UnidentifiedImageError:
        raise ConversionError(
            errors.DAMAGED_FILE, "the content is no picture that can be read (jpg, png, gif, webp, bmp, tiff)"
        ) from None


def _process(
    image: Image.Image, original: PictureInfo, steps: tuple[op.Step, ...], target: Path
) -> PictureResult:
    _check_limits(image)
    steps = _draft(image, steps)
    canvas = load(image, output_format(steps) or _format(image))
    original = replace(original, ave=_average(canvas.frames[0]))
    apply_steps(canvas, steps)
    write(canvas, target)
    with Image.open(target) as written:
        output = replace(_info(written, target), ave=_average(canvas.frames[0]))
    return PictureResult(output=output, original=original)


def _check_limits(image: Image.Image) -> None:
    width, height = image.size
    frames = getattr(image, "n_frames", 1)
    if max(width, height) > MAX_INPUT_SIDE or width * height * frames > MAX_INPUT_PIXELS:
        raise ConversionError(
            errors.IMAGE_TOO_LARGE,
            f"the picture has {width} x {height} px in {frames} frames; the limits are {MAX_INPUT_SIDE} "
            f"a side and {MAX_INPUT_PIXELS} in all",
        )
    if frames > MAX_FRAMES:
        raise ConversionError(
            errors.IMAGE_TOO_LARGE, f"the picture has {frames} frames; the limit is {MAX_FRAMES}"
        )


def _draft(image: Image.Image, steps: tuple[op.Step, ...]) -> tuple[op.Step, ...]:
    """Let the JPEG decoder do a part of a first shrinking at a fraction of the cost; the size is the same."""
    first = steps[0].operations[0] if steps[0].operations else None
    if _format(image) != "JPEG" or not isinstance(first, op.Thumbnail) or first.pad:
        return steps
    size = geometry.THUMBNAILS[first.form][1](image.size, first.bounds)
    image.draft(None, (size[0] * 2, size[1] * 2))
    exact = op.Thumbnail("exact", geometry.Bounds(*size))
    return (op.Step(steps[0].text, (exact, *steps[0].operations[1:])), *steps[1:])


def load(image: Image.Image, target_format: str) -> Canvas:
    """Read the frames that the target format can hold, in modes that every operation takes."""
    canvas = Canvas(
        frames=[],
        format=target_format,
        original_quality=_quality_of(image),
        loop=image.info.get("loop"),
        exif=image.info.get("exif", b""),
        icc_profile=image.info.get("icc_profile") or b""
        if image.mode in _MODES or image.mode == "P"
        else b"",
    )
    is_animated = target_format in _ANIMATED and getattr(image, "is_animated", False)
    for frame in ImageSequence.Iterator(image) if is_animated else [image]:
        canvas.frames.append(_usable(frame))
        canvas.durations.append(int(frame.info.get("duration", 100)))
    return canvas


def _usable(frame: Image.Image) -> Image.Image:
    """Give a copy in RGB, RGBA or L."""
    if frame.mode == "P":
        return frame.convert("RGBA" if "transparency" in frame.info else "RGB")
    if frame.mode.startswith("I;16"):
        return frame.point(lambda value: value * (1 / 256)).convert("L")
    if frame.mode in ("RGB", "L") and "transparency" in frame.info:
        return frame.convert("RGBA")
    return frame.convert(_MODES.get(frame.mode, "RGB"))


def write(canvas: Canvas, target: Path, *, png_level: int = 6) -> None:
    """Encode a canvas in its format."""
    if canvas.format not in _WITH_ALPHA:
        canvas.each(_flat)
    first, *rest = canvas.frames
    options: dict[str, Any] = {"JPEG": _jpeg, "WEBP": _webp}.get(canvas.format, lambda _: {})(canvas)
    if canvas.format == "PNG":
        options["compress_level"] = png_level
    if canvas.format in ("JPEG", "PNG", "WEBP"):
        options.update({"exif": canvas.exif} if canvas.exif else {})
        options.update({"icc_profile": canvas.icc_profile} if canvas.icc_profile else {})
    if rest:
        options.update(save_all=True, append_images=rest, duration=canvas.durations, disposal=2)
        options.update({} if canvas.loop is None else {"loop": canvas.loop})
    if canvas.format == "WEBP":
        options.pop("disposal", None)
    first.save(target, canvas.format, **options)


def _flat(frame: Image.Image) -> Image.Image:
    """Put a transparent frame on white."""
    if frame.mode != "RGBA":
        return frame
    ground = Image.new("RGB", frame.size, (255, 255, 255))
    ground.paste(frame, mask=frame)
    return ground


def _jpeg(canvas: Canvas) -> dict[str, Any]:
    return {"quality": _quality_to_write(canvas), "progressive": canvas.is_progressive, "optimize": False}


def _webp(canvas: Canvas) -> dict[str, Any]:
    return {"quality": _quality_to_write(canvas)}


def _quality_to_write(canvas: Canvas) -> int:
    if canvas.quality is not None:
        return min(max(canvas.quality, 1), 100)
    return canvas.original_quality if canvas.original_quality < 100 else _DEFAULT_QUALITY


def _format(image: Image.Image) -> str:
    """Name the format that a picture keeps when the rule gives none."""
    return {"MPO": "JPEG", "TIFF": "PNG"}.get(image.format or "", image.format or "PNG")


def _info(image: Image.Image, path: Path) -> PictureInfo:
    return PictureInfo(
        format={"MPO": "jpeg"}.get(image.format or "", (image.format or "").lower()),
        width=image.size[0],
        height=image.size[1],
        size=path.stat().st_size,
        quality=_quality_of(image),
        orientation=orientation_of(image.info.get("exif", b"")),
        ave="",
    )


def _quality_of(image: Image.Image) -> int:
    """Estimate the quality that a JPEG was written with by its luminance table; 100 for other formats."""
    tables: dict[int, list[int]] = getattr(image, "quantization", None) or {}
    if not tables:
        return 100
    total = sum(tables[min(tables)])
    return min(range(1, 101), key=lambda quality: abs(_table_sum(quality) - total))


def _table_sum(quality: int) -> int:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return sum(min(max((value * scale + 50) // 100, 1), 255) for value in _STANDARD_TABLE)


def _average(frame: Image.Image) -> str:
    pixel = _flat(frame).convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return "0x" + "".join(f"{int(value):02X}" for value in pixel)
