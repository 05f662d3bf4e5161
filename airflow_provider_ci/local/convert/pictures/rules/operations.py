"""The operations of a picture rule as typed steps, in the service's words."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_ci.local.convert.pictures.geometry import Bounds


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """Scale to a form of ``geometry.THUMBNAILS``; with a pad colour, centred on a canvas of the bounds."""

    form: str
    bounds: Bounds
    pad: str | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut out a box by its offset from the top left."""

    bounds: Bounds
    left: int
    top: int


@dataclass(frozen=True, slots=True)
class Crop:
    """Cut out a box by its gravity."""

    bounds: Bounds
    # Assumed, because the page names no default.
    gravity: str = "northwest"


@dataclass(frozen=True, slots=True)
class Rotate:
    """Turn clockwise by degrees."""

    degrees: int


@dataclass(frozen=True, slots=True)
class Flip:
    """Mirror: upside down if vertical, else left to right."""

    is_vertical: bool


@dataclass(frozen=True, slots=True)
class AutoOrient:
    """Turn as the EXIF orientation says."""


@dataclass(frozen=True, slots=True)
class Strip:
    """Drop all metadata."""


@dataclass(frozen=True, slots=True)
class IgnoreError:
    """Give the source instead of an error."""


@dataclass(frozen=True, slots=True)
class Format:
    """Encode as a format of Pillow's."""

    name: str


@dataclass(frozen=True, slots=True)
class Interlace:
    """Make a jpg progressive."""

    is_on: bool


@dataclass(frozen=True, slots=True)
class Quality:
    """Set the quality: ``kind`` is at_most (this or the original's), forced, relative (%) or at_least."""

    kind: str
    value: int


@dataclass(frozen=True, slots=True)
class Blur:
    """Gaussian blur of a radius in pixels and a sigma."""

    radius: int
    sigma: float


@dataclass(frozen=True, slots=True)
class Tone:
    """A filter of one number: sharpen, bright, contrast or grayscale."""

    kind: str
    value: int


@dataclass(frozen=True, slots=True)
class View:
    """A quick template of imageView2."""

    mode: int
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Circle:
    """Cut out a circle around the middle by its radius."""

    radius: int


@dataclass(frozen=True, slots=True)
class RoundCorners:
    """Round the corners by a radius."""

    radius: int


@dataclass(frozen=True, slots=True)
class IndexCrop:
    """Divide into blocks of the bounds (a missing side: all of it) and keep one, counted by rows from 0."""

    bounds: Bounds
    index: int = 0


@dataclass(frozen=True, slots=True)
class FrameLimit:
    """Limit the number of frames of an animation: keep the first ones, or thin them out evenly."""

    count: int
    is_thinned: bool


@dataclass(frozen=True, slots=True)
class SizeLimit:
    """Lower the quality of a jpg until its file is small enough; or give the source where that is smaller."""

    most_bytes: int
    or_source: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where and how strongly a watermark shows: a place of the 3 x 3 grid with margins in pixels, or tiled.

    ``dissolve`` is the opacity in percent; ``degree`` turns a tiled watermark (``batch``) clockwise.
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
    """A picture laid over the picture, by the address of its object.

    ``blogo`` fits a watermark larger than the picture: 1 scales it, 2 cuts it, 0 lets it hang over.
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
    """A text laid over the picture; ``fontsize`` in pixels, the strength of its ``shadow`` in percent."""

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
    """One part of a pipeline: its text, for messages, and its operations in order."""

    text: str
    operations: tuple[Operation, ...]
