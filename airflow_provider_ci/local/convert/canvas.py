"""A picture in work: its frames and what is to be written with them, changed operation by operation."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from PIL import Image, ImageColor, ImageEnhance, ImageFilter

from airflow_provider_ci.local.convert import errors, geometry
from airflow_provider_ci.local.convert import operations as op
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.geometry import Bounds, Size
from airflow_provider_ci.local.convert.rules import MAX_OUTPUT_SIDE

ORIENTATION_TAG: Final = 0x0112
_TRANSPOSES: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_RIGHT_ANGLES: Final = {  # Pillow turns counter-clockwise, the service clockwise
    90: Image.Transpose.ROTATE_270,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}


@dataclass(slots=True, kw_only=True)
class Canvas:
    """Frames of one size and mode, the format they are to be written in, and their metadata.

    ``original_quality`` is that of the source, 100 where its format has none.
    """

    frames: list[Image.Image]
    format: str
    original_quality: int = 100
    quality: int | None = None
    is_progressive: bool = False
    durations: list[int] = field(default_factory=list)
    loop: int | None = None
    exif: bytes = b""
    icc_profile: bytes = b""

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return self.frames[0].size

    def each(self, change: Callable[[Image.Image], Image.Image]) -> None:
        """Replace every frame by what ``change`` makes of it."""
        for index, frame in enumerate(self.frames):
            self.frames[index] = change(frame)


def apply_steps(canvas: Canvas, steps: Sequence[op.Step]) -> None:
    """Do the operations of all steps in order; a failing one is named with its step."""
    for number, step in enumerate(steps, start=1):
        for operation in step.operations:
            try:
                _APPLY[type(operation)](canvas, operation)
            except ConversionError as error:
                raise ConversionError(error.code, f"step {number} {step.text!r}: {error.message}") from None


def orientation_of(exif: bytes) -> int:
    """Read the EXIF orientation, 0 where there is none or the block makes no sense."""
    return int(value) if isinstance(value := _read_exif(exif).get(ORIENTATION_TAG), int) else 0


def _read_exif(exif: bytes) -> Image.Exif:
    tags = Image.Exif()
    try:
        tags.load(exif)
    except (SyntaxError, ValueError, KeyError, TypeError, EOFError, OSError, struct.error):
        return Image.Exif()
    return tags


def _without_orientation(exif: bytes) -> bytes:
    tags = _read_exif(exif)
    if ORIENTATION_TAG in tags:
        del tags[ORIENTATION_TAG]
    try:
        return tags.tobytes()
    except (ValueError, KeyError, TypeError, OSError, OverflowError, struct.error):
        return b""  # tags that cannot be written again are no loss to the picture


def _check_size(size: Size) -> None:
    if max(size) > MAX_OUTPUT_SIDE:
        raise ConversionError(
            errors.IMAGE_TOO_LARGE,
            f"the result is {size[0]} x {size[1]} px; the limit is {MAX_OUTPUT_SIDE} a side",
        )


def _resize(canvas: Canvas, size: Size) -> None:
    _check_size(size)
    if size != canvas.size:
        canvas.each(lambda frame: frame.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def _cut_out(canvas: Canvas, box: geometry.Box) -> None:
    width, height = canvas.size
    if box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height:
        raise ConversionError(
            errors.INVALID_RULE, f"the box {box} does not lie within the picture of {width} x {height} px"
        )
    canvas.each(lambda frame: frame.crop(box))


def _thumbnail(canvas: Canvas, operation: op.Thumbnail) -> None:
    _resize(canvas, geometry.THUMBNAILS[operation.form][1](canvas.size, operation.bounds))
    if operation.pad:
        _pad(canvas, operation.bounds, operation.pad)


def _pad(canvas: Canvas, bounds: Bounds, color: str) -> None:
    width, height = max(bounds.width, canvas.size[0]), max(bounds.height, canvas.size[1])
    corner = (width - canvas.size[0]) // 2, (height - canvas.size[1]) // 2

    def padded(frame: Image.Image) -> Image.Image:
        ground = Image.new("RGB", (width, height), ImageColor.getrgb(color))
        ground.paste(frame, corner, frame if frame.mode == "RGBA" else None)
        return ground

    canvas.each(padded)


def _rotate(canvas: Canvas, operation: op.Rotate) -> None:
    degrees = operation.degrees % 360
    if degrees in _RIGHT_ANGLES:
        canvas.each(lambda frame: frame.transpose(_RIGHT_ANGLES[degrees]))
    elif degrees:
        canvas.each(lambda frame: _turned(frame, degrees))
    _check_size(canvas.size)


def _turned(frame: Image.Image, degrees: int) -> Image.Image:
    ground: tuple[int, ...] = {"RGBA": (255, 255, 255, 0), "RGB": (255, 255, 255), "L": (255,)}[frame.mode]
    return frame.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=ground)


def _auto_orient(canvas: Canvas, _: op.AutoOrient) -> None:
    transpose = _TRANSPOSES.get(orientation_of(canvas.exif))
    if transpose is not None:
        canvas.each(lambda frame: frame.transpose(transpose))
    if canvas.exif:
        canvas.exif = _without_orientation(canvas.exif)


def _flip(canvas: Canvas, operation: op.Flip) -> None:
    direction = Image.Transpose.FLIP_TOP_BOTTOM if operation.is_vertical else Image.Transpose.FLIP_LEFT_RIGHT
    canvas.each(lambda frame: frame.transpose(direction))


def _quality(canvas: Canvas, operation: op.Quality) -> None:
    original, value = canvas.original_quality, operation.value
    canvas.quality = {
        "at_most": min(original, value),
        "forced": value,
        "relative": round(original * value / 100),
        "at_least": max(canvas.quality if canvas.quality is not None else original, value),
    }[operation.kind]


def _view(canvas: Canvas, operation: op.View) -> None:
    size, box = geometry.quick_template(canvas.size, operation.mode, operation.bounds)
    _resize(canvas, size)
    if box:
        _cut_out(canvas, geometry.box_at(canvas.size, box, "center"))


def _on_colour(frame: Image.Image, change: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Change the colour of a frame and leave its transparency alone."""
    if frame.mode != "RGBA":
        return change(frame)
    changed = change(frame.convert("RGB")).convert("RGB")
    changed.putalpha(frame.getchannel("A"))
    return changed


_TONES: Final[dict[str, Callable[[Image.Image, int], Image.Image]]] = {
    "sharpen": lambda frame, value: frame.filter(
        ImageFilter.UnsharpMask(radius=1.5, percent=value, threshold=0)
    ),
    "bright": lambda frame, value: ImageEnhance.Brightness(frame).enhance(1 + value / 100),
    "contrast": lambda frame, value: ImageEnhance.Contrast(frame).enhance(1 + value / 100),
    "grayscale": lambda frame, value: frame.convert("L") if value else frame,
}


def _tone(canvas: Canvas, operation: op.Tone) -> None:
    tone = _TONES[operation.kind]
    canvas.each(lambda frame: _on_colour(frame, lambda colour: tone(colour, operation.value)))


def _crop(canvas: Canvas, operation: op.Crop) -> None:
    _cut_out(canvas, geometry.box_at(canvas.size, operation.bounds, operation.gravity))


def _cut(canvas: Canvas, operation: op.Cut) -> None:
    right, bottom = operation.left + operation.bounds.width, operation.top + operation.bounds.height
    _cut_out(canvas, (operation.left, operation.top, right, bottom))


def _blur(canvas: Canvas, operation: op.Blur) -> None:
    # The kernel of the service ends at its radius, Pillow's at about three sigma.
    sigma = min(operation.sigma, float(operation.radius))
    canvas.each(lambda frame: frame.filter(ImageFilter.GaussianBlur(sigma)))


def _format(canvas: Canvas, operation: op.Format) -> None:
    canvas.format = operation.name


def _interlace(canvas: Canvas, operation: op.Interlace) -> None:
    canvas.is_progressive = operation.is_on


def _strip(canvas: Canvas, _: op.Strip) -> None:
    canvas.exif = canvas.icc_profile = b""


def _nothing(_: Canvas, __: op.IgnoreError) -> None:
    """Do nothing: the caller looks at this operation when a step fails."""


_APPLY: Final[dict[type[Any], Callable[[Canvas, Any], None]]] = {
    op.Thumbnail: _thumbnail,
    op.Cut: _cut,
    op.Crop: _crop,
    op.Rotate: _rotate,
    op.Flip: _flip,
    op.AutoOrient: _auto_orient,
    op.Strip: _strip,
    op.IgnoreError: _nothing,
    op.Format: _format,
    op.Interlace: _interlace,
    op.Quality: _quality,
    op.Blur: _blur,
    op.Tone: _tone,
    op.View: _view,
}
