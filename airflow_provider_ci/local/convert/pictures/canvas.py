"""A picture being processed: its frames and the metadata to write with them. Operations change it in turn."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageColor, ImageEnhance, ImageFilter

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.pictures import corners, geometry, limits, watermark
from airflow_provider_ci.local.convert.pictures.geometry import Bounds, Size
from airflow_provider_ci.local.convert.pictures.information import ORIENTATION_TAG, orientation_of, read_exif
from airflow_provider_ci.local.convert.pictures.rules import operations as op

Fetch = Callable[[str], Path]
"""Returns the file of a watermark image by the address of its object; raises ConversionError."""
# By EXIF orientation: how to turn a picture upright; with 1 it is upright already.
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


def refuse_to_fetch(url: str) -> Path:
    """Refuse an image watermark: its image cannot be read without a bucket."""
    raise ConversionError(
        errors.UNSUPPORTED_RULE, f"the watermark image {url!r} cannot be fetched here: there is no bucket"
    )


def fetch_from(files: Mapping[str, str]) -> Fetch:
    """Return a Fetch that looks up, by address, the watermark images that were fetched before."""
    return lambda url: Path(files[url])


@dataclass(slots=True, kw_only=True)
class Canvas:
    """Frames of one size and mode, the format to write them in, and their metadata.

    ``original_quality`` is the quality of the source, or 100 if its format has none. ``most_bytes`` is the
    maximum size of a jpg file.
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
    comment: bytes = b""
    original_format: str = ""
    most_bytes: int | None = None
    fetch: Fetch = refuse_to_fetch

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return self.frames[0].size

    def each(self, change: Callable[[Image.Image], Image.Image]) -> None:
        """Replace every frame by what ``change`` makes of it."""
        for index, frame in enumerate(self.frames):
            self.frames[index] = change(frame)


def apply_steps(canvas: Canvas, steps: Sequence[op.Step]) -> None:
    """Apply the operations of all steps in order; an error names its step."""
    for position, step in enumerate(steps, start=1):
        with named(position, step):
            for operation in step.operations:
                _APPLY[type(operation)](canvas, operation)


def check_result(canvas: Canvas, steps: Sequence[op.Step]) -> None:
    """Refuse a picture that is too large after its last step."""
    with named(len(steps), steps[-1]):
        limits.check_output(canvas.size, len(canvas.frames))


@contextmanager
def named(position: int, step: op.Step) -> Iterator[None]:
    """Prefix the message of an error with the number and the text of its step."""
    try:
        yield
    except ConversionError as error:
        raise ConversionError(error.code, f"step {position} {step.text!r}: {error.message}") from None


def _without_orientation(exif: bytes) -> bytes:
    tags = read_exif(exif)
    if ORIENTATION_TAG in tags:
        del tags[ORIENTATION_TAG]
    try:
        return tags.tobytes()
    except (ValueError, KeyError, TypeError, OSError, OverflowError, struct.error):
        return b""  # tags that cannot be written again are dropped; the picture is complete without them


def _resize(canvas: Canvas, size: Size) -> None:
    limits.check_output(size, len(canvas.frames))
    if size != canvas.size:
        # Pillow first shrinks by a whole factor, which is faster; with a gap of 3 the result looks the same.
        canvas.each(lambda frame: frame.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def _cut_out(canvas: Canvas, box: geometry.Box) -> None:
    width, height = canvas.size
    # Pillow would fill the part outside the picture with black.
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
    limits.check_output((width, height), len(canvas.frames))
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
        limits.check_output(geometry.turned(canvas.size, degrees), len(canvas.frames))
        canvas.each(lambda frame: _turned(frame, degrees))


def _turned(frame: Image.Image, degrees: int) -> Image.Image:
    # Assumed: the corners are white, or transparent if the picture has transparency.
    ground: tuple[int, ...] = {"RGBA": (255, 255, 255, 0), "RGB": (255, 255, 255), "L": (255,)}[frame.mode]
    return frame.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=ground)


def _auto_orient(canvas: Canvas, _: op.AutoOrient) -> None:
    turn_upright(canvas)


def turn_upright(canvas: Canvas) -> None:
    """Turn the frames upright by the EXIF orientation, and remove the orientation from EXIF."""
    transpose = _TRANSPOSES.get(orientation_of(canvas.exif))
    if transpose is not None:
        canvas.each(lambda frame: frame.transpose(transpose))
    if canvas.exif:
        # Otherwise a viewer would turn the picture once more.
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
    # The service's kernel ends at the radius of the rule, Pillow's kernel at about three sigma.
    sigma = min(operation.sigma, float(operation.radius))
    canvas.each(lambda frame: frame.filter(ImageFilter.GaussianBlur(sigma)))


def _circle(canvas: Canvas, operation: op.Circle) -> None:
    _check_radius(canvas, operation.radius)
    side = 2 * operation.radius
    _cut_out(canvas, geometry.box_at(canvas.size, Bounds(side, side), "center"))
    _round_off(canvas, operation.radius)


def _round_corners(canvas: Canvas, operation: op.RoundCorners) -> None:
    _check_radius(canvas, operation.radius)
    _round_off(canvas, operation.radius)


def _check_radius(canvas: Canvas, radius: int) -> None:
    # The service's page gives both limits for iradius and rradius.
    if "GIF" in (canvas.format, canvas.original_format):
        raise ConversionError(errors.INVALID_RULE, "corners cannot be cut off a gif")
    if 2 * radius >= min(canvas.size):
        width, height = canvas.size
        raise ConversionError(
            errors.INVALID_RULE,
            f"the radius {radius} is not under half the shorter side of the picture of {width} x {height} px",
        )


def _round_off(canvas: Canvas, radius: int) -> None:
    mask = corners.corner_mask(canvas.size, radius)
    canvas.each(lambda frame: corners.rounded_off(frame, mask))


def _index_crop(canvas: Canvas, operation: op.IndexCrop) -> None:
    count = geometry.count_of_blocks(canvas.size, operation.bounds)
    if operation.index >= count:
        raise ConversionError(
            errors.INVALID_RULE, f"there is no block {operation.index}: they are numbered 0 to {count - 1}"
        )
    _cut_out(canvas, geometry.block(canvas.size, operation.bounds, operation.index))


def _limit_frames(canvas: Canvas, operation: op.FrameLimit) -> None:
    total = len(canvas.frames)
    if total <= operation.count:
        return
    starts = [number * total // operation.count for number in range(operation.count)]
    if not operation.is_thinned:
        starts, total = list(range(operation.count)), operation.count
    ends = [*starts[1:], total]
    # a kept frame is also shown for the time of the removed frames, so that the animation lasts as long
    canvas.durations = [sum(canvas.durations[start:end]) for start, end in zip(starts, ends, strict=True)]
    canvas.frames = [canvas.frames[start] for start in starts]


def _limit_size(canvas: Canvas, operation: op.SizeLimit) -> None:
    if canvas.format != "JPEG":
        raise ConversionError(
            errors.INVALID_RULE, f"size-limit is for jpg alone, and the result is {canvas.format.lower()}"
        )
    canvas.most_bytes = operation.most_bytes


def _text_watermark(canvas: Canvas, operation: op.TextWatermark) -> None:
    _lay_over(canvas, watermark.text_stamp(operation), operation.placement)


def _image_watermark(canvas: Canvas, operation: op.ImageWatermark) -> None:
    stamp = watermark.image_stamp(operation, canvas.fetch(operation.url), canvas.size)
    _lay_over(canvas, stamp, operation.placement)


def _lay_over(canvas: Canvas, stamp: Image.Image, placement: op.Placement) -> None:
    layers = watermark.layers(stamp, canvas.size, placement)
    canvas.each(lambda frame: watermark.laid_over(frame, layers))


def _format(canvas: Canvas, operation: op.Format) -> None:
    canvas.format = operation.name


def _interlace(canvas: Canvas, operation: op.Interlace) -> None:
    canvas.is_progressive = operation.is_on


def _strip(canvas: Canvas, _: op.Strip) -> None:
    canvas.exif = canvas.icc_profile = canvas.comment = b""


def _nothing(_: Canvas, __: op.IgnoreError) -> None:
    """Do nothing: ``process_picture`` handles ``ignore-error`` when a step fails."""


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
    op.Circle: _circle,
    op.RoundCorners: _round_corners,
    op.IndexCrop: _index_crop,
    op.FrameLimit: _limit_frames,
    op.SizeLimit: _limit_size,
    op.TextWatermark: _text_watermark,
    op.ImageWatermark: _image_watermark,
}
