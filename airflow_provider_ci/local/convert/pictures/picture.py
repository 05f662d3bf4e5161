"""Applies a rule to a picture file. Runs in a worker, because hostile files may crash a decoder."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageSequence

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.options import PictureInfo, PictureResult
from airflow_provider_ci.local.convert.pictures import geometry, limits
from airflow_provider_ci.local.convert.pictures.canvas import (
    Canvas,
    Fetch,
    apply_steps,
    check_result,
    named,
    refuse_to_fetch,
    turn_upright,
)
from airflow_provider_ci.local.convert.pictures.colours import fits, profile_of
from airflow_provider_ci.local.convert.pictures.information import (
    ORIENTATION_TAG,
    average_of,
    flat,
    orientation_of,
    picture_info,
    quality_of,
)
from airflow_provider_ci.local.convert.pictures.limits import MAX_INPUT_BYTES as MAX_INPUT_BYTES
from airflow_provider_ci.local.convert.pictures.reading import (
    ANIMATED,
    frames_of,
    in_srgb,
    open_any,
    open_picture,
    usable,
)
from airflow_provider_ci.local.convert.pictures.rules import operations as op
from airflow_provider_ci.local.convert.pictures.rules.parsing import (
    ValueOutsideRangeError,
    output_format,
    parse_rule,
    tolerates_errors,
)

_DEFAULT_QUALITY: Final = 85
_ANIMATED: Final = ("GIF", "WEBP")
_WITH_ALPHA: Final = ("PNG", "GIF", "WEBP")
_WITH_PROFILE: Final = ("JPEG", "PNG", "WEBP")
# These operations add colours in sRGB, or remove the colour profile.
_IN_SRGB: Final = (op.ImageWatermark, op.TextWatermark, op.Strip)
_EXIF_HEADER: Final = b"Exif\0\0"
# A segment of a jpg holds less than 64 KiB.
_MOST_EXIF_OF_JPEG: Final = 65_000
_TOLERATED: Final = (
    errors.IMAGE_TOO_LARGE,
    errors.FILE_TOO_LARGE,
    errors.OUTPUT_TOO_LARGE,
    errors.INVALID_RULE,
)


def process_picture(
    source: Path, rule: str, target: Path, *, fetch: Fetch = refuse_to_fetch
) -> PictureResult:
    """Apply a rule to a picture file; any failure is a ConversionError and leaves no target.

    ``fetch`` returns the file of a watermark image by its address. If the rule has ``ignore-error/1`` and a
    picture is too large or a value is outside its range, the result is a copy of the source.
    """
    try:
        steps = parse_rule(rule)
    except ValueOutsideRangeError:
        if not tolerates_errors(rule):
            raise
        return _unchanged(source, target)
    try:
        return _process(source, steps, target, fetch)
    except ConversionError as error:
        if error.code not in _TOLERATED or not tolerates_errors(rule):
            raise
        return _unchanged(source, target)


def fetch_watermarks(rule: str, fetch: Fetch) -> dict[str, Path]:
    """Fetch all watermark images of a rule, because a worker cannot do so; an error names its step."""
    try:
        steps = parse_rule(rule)
    except ValueOutsideRangeError:
        return {}  # the worker decides whether the rule tolerates the value
    files: dict[str, Path] = {}
    for position, step in enumerate(steps, start=1):
        for operation in step.operations:
            if isinstance(operation, op.ImageWatermark):
                with named(position, step):
                    files[operation.url] = fetch(operation.url)
    return files


def _unchanged(source: Path, target: Path) -> PictureResult:
    info = source_info(source)
    shutil.copyfile(source, target)
    return PictureResult(output=info, original=info)


def source_info(source: Path) -> PictureInfo:
    """Describe a picture file of any size; the average colour is empty if the file is too large to read."""
    with open_any(source) as image:
        info = picture_info(image, source, "")
        try:
            limits.check_input("the picture", image.size, frames_of(image))
        except ConversionError:
            return info
        return replace(info, ave=average_of(in_srgb(image)))


def _process(source: Path, steps: tuple[op.Step, ...], target: Path, fetch: Fetch) -> PictureResult:
    with open_picture(source) as image:
        original = picture_info(image, source, "")
        target_format = output_format(steps) or _format(image)
        if target_format in _WITH_PROFILE or orientation_of(image.info.get("exif", b"")) <= 1:
            steps = _draft(image, steps)
        canvas = load(image, target_format, keeps_profile=_keeps_profile(steps))
    canvas.fetch = fetch
    original = replace(original, ave=average_of(canvas.frames[0]))
    apply_steps(canvas, steps)
    check_result(canvas, steps)
    write(canvas, target)
    if _prefers_source(steps) and target.stat().st_size >= original.size:
        return _unchanged(source, target)
    with Image.open(target) as written:
        output = picture_info(written, target, average_of(canvas.frames[0]))
    return PictureResult(output=output, original=original)


def _prefers_source(steps: Sequence[op.Step]) -> bool:
    return any(
        isinstance(operation, op.SizeLimit) and operation.or_source
        for step in steps
        for operation in step.operations
    )


def _draft(image: Image.Image, steps: tuple[op.Step, ...]) -> tuple[op.Step, ...]:
    """Let the JPEG decoder do part of a first thumbnail; this is much faster, and gives the same size."""
    first = steps[0].operations[0] if steps[0].operations else None
    if _format(image) != "JPEG" or not isinstance(first, op.Thumbnail) or first.pad:
        return steps
    size = geometry.THUMBNAILS[first.form][1](image.size, first.bounds)
    # Twice the size leaves enough pixels for a good final resize.
    image.draft(None, (size[0] * 2, size[1] * 2))
    # The draft has changed the picture's size, so a relative form would now give another result.
    exact = op.Thumbnail("exact", geometry.Bounds(*size))
    return (op.Step(steps[0].text, (exact, *steps[0].operations[1:])), *steps[1:])


def _keeps_profile(steps: Sequence[op.Step]) -> bool:
    """Return whether the source's colour space can be kept: no step adds colours or removes the profile."""
    return not any(
        isinstance(operation, _IN_SRGB)
        or (isinstance(operation, op.Thumbnail) and operation.pad)
        or (isinstance(operation, op.Tone) and operation.kind == "grayscale")
        for step in steps
        for operation in step.operations
    )


def load(image: Image.Image, target_format: str, *, keeps_profile: bool = True) -> Canvas:
    """Read the frames that the target format can hold, in modes that every operation accepts.

    The colour profile is kept if the target can hold it and the colours stay in its colour space; otherwise
    the colours are converted to sRGB.
    """
    profile = profile_of(image)
    # A grey profile fits neither RGBA, which transparent greys become, nor webp, which has no grey mode.
    is_grey_lost = fits(profile, "L") and (image.has_transparency_data or target_format == "WEBP")
    is_changed = image.mode in ("CMYK", "LAB") or is_grey_lost
    keeps_profile = keeps_profile and target_format in _WITH_PROFILE and not is_changed
    read = usable if keeps_profile else in_srgb
    canvas = Canvas(
        frames=[],
        format=target_format,
        original_quality=quality_of(image),
        original_format=image.format or "",
        loop=image.info.get("loop"),
        exif=_with_header(image.info.get("exif", b"")),
        comment=_comment_of(image),
    )
    for frame in _frames(image, target_format):
        duration = frame.info.get("duration", 100)
        # The iterator uses one object for all frames, so each frame is copied.
        canvas.frames.append(read(frame))
        canvas.durations.append(int(duration))
    canvas.icc_profile = profile if keeps_profile else b""
    if target_format not in _WITH_PROFILE:
        # The target format cannot store an orientation.
        turn_upright(canvas)
    return canvas


def _frames(image: Image.Image, target_format: str) -> Iterator[Image.Image]:
    """Yield the frames that the target format can hold."""
    if target_format not in _ANIMATED or image.format not in ANIMATED or frames_of(image) == 1:
        yield image
        return
    frames = ImageSequence.Iterator(image)
    # An animated png may begin with a picture for programs that show no animations.
    if getattr(image, "default_image", False):
        next(frames)
    yield from frames


def _with_header(exif: bytes) -> bytes:
    """Return EXIF with the header that jpg needs. A webp may lack it, and its orientation would be lost."""
    return exif if not exif or exif.startswith(_EXIF_HEADER) else _EXIF_HEADER + exif


def _comment_of(image: Image.Image) -> bytes:
    comment = image.info.get("comment", b"")
    return comment if isinstance(comment, bytes) else str(comment).encode()


def write(canvas: Canvas, target: Path, *, png_level: int = 6) -> None:
    """Encode a canvas in its format."""
    if canvas.format not in _WITH_ALPHA:
        canvas.each(flat)
    first, *rest = canvas.frames
    options: dict[str, Any] = {"JPEG": _jpeg, "WEBP": _webp}.get(canvas.format, lambda _: {})(canvas)
    if canvas.format == "PNG":
        options["compress_level"] = png_level
    if canvas.format in _WITH_PROFILE:
        exif = _fitting(canvas.exif) if canvas.format == "JPEG" else canvas.exif
        profile = canvas.icc_profile if fits(canvas.icc_profile, first.mode) else b""
        options.update({"exif": exif} if exif else {})
        options.update({"icc_profile": profile} if profile else {})
    if canvas.comment and canvas.format in ("JPEG", "GIF") and canvas.format == canvas.original_format:
        options["comment"] = canvas.comment
    if rest:
        # Disposal 2 clears each frame. Otherwise old frames would show through transparent parts.
        options.update(save_all=True, append_images=rest, duration=canvas.durations, disposal=2)
        options.update({} if canvas.loop is None else {"loop": canvas.loop})
    if canvas.format == "WEBP":
        options.pop("disposal", None)
    if canvas.format == "JPEG" and canvas.most_bytes is not None:
        target.write_bytes(_jpeg_within(first, options, canvas.most_bytes))
    else:
        first.save(target, canvas.format, **options)


def _fitting(exif: bytes) -> bytes:
    """Return EXIF that a jpg can hold; of a larger block only the orientation is kept."""
    if len(exif) <= _MOST_EXIF_OF_JPEG:
        return exif
    tags = Image.Exif()
    tags[ORIENTATION_TAG] = orientation_of(exif)
    return tags.tobytes()


def _jpeg_within(frame: Image.Image, options: dict[str, Any], most_bytes: int) -> bytes:
    """Encode at the highest quality, up to the quality in the options, that makes a small enough file."""
    # Most pictures fit at the full quality, so it is tried first.
    lowest, highest, best = 1, options["quality"], b""
    quality = highest
    while lowest <= highest:
        content = _jpeg_at(frame, options, quality)
        if len(content) <= most_bytes:
            best, lowest = content, quality + 1
        else:
            highest = quality - 1
        quality = (lowest + highest) // 2
    if not best:
        raise ConversionError(
            errors.OUTPUT_TOO_LARGE,
            f"size-limit allows {most_bytes} bytes, and the jpg has {len(_jpeg_at(frame, options, 1))} "
            "even at quality 1: make it smaller by a thumbnail, and drop its metadata by strip",
        )
    return best


def _jpeg_at(frame: Image.Image, options: dict[str, Any], quality: int) -> bytes:
    content = io.BytesIO()
    frame.save(content, "JPEG", **{**options, "quality": quality})
    return content.getvalue()


def _jpeg(canvas: Canvas) -> dict[str, Any]:
    return {"quality": _quality_to_write(canvas), "progressive": canvas.is_progressive, "optimize": False}


def _webp(canvas: Canvas) -> dict[str, Any]:
    return {"quality": _quality_to_write(canvas)}


def _quality_to_write(canvas: Canvas) -> int:
    if canvas.quality is not None:
        return min(max(canvas.quality, 1), 100)
    # 100 is also the value for sources without a quality, such as png.
    return canvas.original_quality if canvas.original_quality < 100 else _DEFAULT_QUALITY


def _format(image: Image.Image) -> str:
    """Return the format to write when the rule names none."""
    # The service writes no tiff.
    return {"MPO": "JPEG", "TIFF": "PNG"}.get(image.format or "", image.format or "PNG")
