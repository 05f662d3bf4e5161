"""The operations of a picture rule as typed steps, in the service's words."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_ci.local.convert.geometry import Bounds


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


Operation = (
    Thumbnail | Cut | Crop | Rotate | Flip | AutoOrient | Strip | IgnoreError | Format | Interlace | Quality
    | Blur | Tone | View
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a pipeline: its text, for messages, and its operations in order."""

    text: str
    operations: tuple[Operation, ...]
