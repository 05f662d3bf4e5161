"""The operations of a picture rule as typed steps, in the service's words."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_ci.local.convert.pictures.geometry import Bounds


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """Scale by a form of ``geometry.THUMBNAILS``; with a pad colour, centre on a canvas of the bounds."""

    form: str
    bounds: Bounds
    pad: str | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut out a box; ``left`` and ``top`` are its offset, in pixels, from the top left corner."""

    bounds: Bounds
    left: int
    top: int


@dataclass(frozen=True, slots=True)
class Crop:
    """Cut out a box that is placed by a gravity of the 3 x 3 grid."""

    bounds: Bounds
    # An assumed default, because the page names none.
    gravity: str = "northwest"


@dataclass(frozen=True, slots=True)
class Rotate:
    """Turn clockwise by a number of degrees."""

    degrees: int


@dataclass(frozen=True, slots=True)
class Flip:
    """Mirror: upside down if vertical, else left to right."""

    is_vertical: bool


@dataclass(frozen=True, slots=True)
class AutoOrient:
    """Turn upright by the EXIF orientation."""


@dataclass(frozen=True, slots=True)
class Strip:
    """Drop all metadata."""


@dataclass(frozen=True, slots=True)
class IgnoreError:
    """Return the source instead of an error."""


@dataclass(frozen=True, slots=True)
class Format:
    """Encode in the format that Pillow calls ``name``."""

    name: str


@dataclass(frozen=True, slots=True)
class Interlace:
    """Make a jpg progressive."""

    is_on: bool


@dataclass(frozen=True, slots=True)
class Quality:
    """Set the quality of the result.

    ``kind`` is ``at_most`` (the lower of ``value`` and the source's quality), ``forced``, ``relative``
    (percent of the source's quality) or ``at_least``.
    """

    kind: str
    value: int


@dataclass(frozen=True, slots=True)
class Blur:
    """Blur with a Gaussian kernel; the radius is in pixels."""

    radius: int
    sigma: float


@dataclass(frozen=True, slots=True)
class Tone:
    """A filter with one parameter: sharpen, bright, contrast or grayscale."""

    kind: str
    value: int


@dataclass(frozen=True, slots=True)
class View:
    """Scale by a mode of imageView2, a quick template."""

    mode: int
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Circle:
    """Cut out a circle around the centre; the radius is in pixels."""

    radius: int


@dataclass(frozen=True, slots=True)
class RoundCorners:
    """Round the corners; the radius is in pixels."""

    radius: int


@dataclass(frozen=True, slots=True)
class IndexCrop:
    """Divide into blocks and keep one; blocks are counted by rows from 0.

    ``bounds`` is the size of a block; a side of 0 means the picture's whole side.
    """

    bounds: Bounds
    index: int = 0


@dataclass(frozen=True, slots=True)
class FrameLimit:
    """Limit the number of frames of an animation: keep the first ones, or thin them out evenly."""

    count: int
    is_thinned: bool


@dataclass(frozen=True, slots=True)
class SizeLimit:
    """Lower the quality of a jpg until its file is small enough.

    With ``or_source`` the result is the source if the new file is not smaller.
    """

    most_bytes: int
    or_source: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a watermark is placed, and how opaque it is.

    The place is one of the 3 x 3 grid, with margins in pixels; with ``batch`` the watermark is tiled.
    ``dissolve`` is the opacity in percent; ``degree`` turns a tiled watermark clockwise.
    """

    # The defaults of the watermark pages (1045/33720, 33721).
    gravity: str = "southeast"
    dx: int = 0
    dy: int = 0
    dissolve: int = 90
    batch: bool = False
    degree: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageWatermark:
    """An image laid over the picture; ``url`` is the address of the image's object.

    ``blogo`` says what happens to a watermark larger than the picture: 1 scales it down, 2 crops it, 0
    changes nothing.
    ``scatype`` scales it to ``spcent`` thousandths of the picture: 1 by width, 2 by height, 3 by area, 0 not
    at all.
    """

    url: str
    placement: Placement
    blogo: int = 0
    scatype: int = 0
    spcent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TextWatermark:
    """A text laid over the picture; ``fontsize`` is in pixels, the opacity of its ``shadow`` in percent."""

    text: str
    placement: Placement
    font: str = "tahoma.ttf"
    fontsize: int = 13
    fill: str = "#3D3D3D"
    shadow: int = 0


Operation = (
    Thumbnail | Cut | Crop | Rotate | Flip | AutoOrient | Strip | IgnoreError | Format | Interlace | Quality
    | Blur | Tone | View | Circle | RoundCorners | IndexCrop | FrameLimit | SizeLimit | ImageWatermark
    | TextWatermark
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a rule: its text, for messages, and its operations in order."""

    text: str
    operations: tuple[Operation, ...]
